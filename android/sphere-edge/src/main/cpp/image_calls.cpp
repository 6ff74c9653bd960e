// The native functions of ImageManager.
#include "calls.h"
#include "events.h"
#include "options.h"

namespace sphere_edge_jni {
namespace {

se_image *handle(jlong pointer) { return reinterpret_cast<se_image *>(pointer); }

jlong open(JNIEnv *env, jobject, jbyteArray path, jobjectArray pairs) {
  se_image_open_options options{};
  options.size = sizeof options;
  Storage storage;
  if (!fill(env, pairs, IMAGE_OPEN, &options, storage)) return 0;
  se_image *opened = nullptr;
  if (!succeeded(env, se_image_open(text(env, path).c_str(), &options, &opened))) return 0;
  return reinterpret_cast<jlong>(opened);
}

void close(JNIEnv *, jobject, jlong pointer) { se_image_close(handle(pointer)); }

void cancel(JNIEnv *, jobject, jlong pointer) { se_image_cancel(handle(pointer)); }

jbyteArray info(JNIEnv *env, jobject, jlong pointer) {
  char *json = nullptr;
  if (!succeeded(env, se_image_info(handle(pointer), &json))) return nullptr;
  const jbyteArray out = bytes(env, json);
  se_string_free(json);
  return out;
}

jint generate(JNIEnv *env, jobject, jlong pointer, jbyteArray prompt, jobjectArray pairs, jobject receiver) {
  se_image_generate_options options{};
  if (!succeeded(env, se_image_default_options(handle(pointer), &options, sizeof options))) return SE_INTERNAL;
  Storage storage;
  if (!fill(env, pairs, IMAGE_GENERATE, &options, storage)) return SE_INVALID_ARGUMENT;
  options.on_progress = on_image_progress;
  Receiver to{env, receiver};
  se_image_result result{};
  result.size = sizeof result;
  const se_status status =
      se_image_generate(handle(pointer), text(env, prompt).c_str(), &options, on_bitmap, &to, &result);
  if (status == SE_OK) {
    if (!env->ExceptionCheck()) send(to, event(result));
  } else if (status != SE_CANCELLED) {
    fail(env, status, se_last_error(), se_last_hint());
  }
  return status;
}

}  // namespace

std::vector<JNINativeMethod> image_functions() {
  return {
      method<open>("imageOpen", "([B[[B)J"),
      method<close>("imageClose", "(J)V"),
      method<cancel>("imageCancel", "(J)V"),
      method<info>("imageInfo", "(J)[B"),
      method<generate>("imageGenerate", "(J[B[[BLdev/sphereedge/internal/Receiver;)I"),
  };
}

}  // namespace sphere_edge_jni
