// What belongs to no manager: the version, what a file contains, this machine, and the log.
#include <mutex>

#include "calls.h"
#include "events.h"

namespace sphere_edge_jni {
namespace {

JavaVM *java = nullptr;
// Held while the function of the log changes; the core holds a lock of its own while it calls it.
std::mutex log_lock;
jobject log_receiver = nullptr;

void on_log(se_log_level level, const char *message, void *) {
  JNIEnv *env = nullptr;
  const bool is_known = java->GetEnv(reinterpret_cast<void **>(&env), JNI_VERSION_1_6) == JNI_OK;
#ifdef __ANDROID__
  if (!is_known && java->AttachCurrentThreadAsDaemon(&env, nullptr) != JNI_OK) return;
#else
  if (!is_known && java->AttachCurrentThreadAsDaemon(reinterpret_cast<void **>(&env), nullptr) != JNI_OK) return;
#endif
  // A message is no reason to disturb the call that it is about.
  if (!env->ExceptionCheck()) {
    send({env, log_receiver}, Event{LOG, {static_cast<jdouble>(level)}, {message}});
    if (env->ExceptionCheck()) env->ExceptionClear();
  }
  if (!is_known) java->DetachCurrentThread();
}

jbyteArray version(JNIEnv *env, jobject) { return bytes(env, se_version()); }

jbyteArray system_info(JNIEnv *env, jobject) {
  char *json = nullptr;
  if (!succeeded(env, se_system_info(&json))) return nullptr;
  const jbyteArray out = bytes(env, json);
  se_string_free(json);
  return out;
}

jbyteArray model_info(JNIEnv *env, jobject, jbyteArray path) {
  char *json = nullptr;
  if (!succeeded(env, se_model_info(text(env, path).c_str(), &json))) return nullptr;
  const jbyteArray out = bytes(env, json);
  se_string_free(json);
  return out;
}

void set_log(JNIEnv *env, jobject, jobject receiver) {
  const std::lock_guard guard(log_lock);
  // After this the former one is not called again.
  se_log_set(nullptr, nullptr);
  if (log_receiver != nullptr) env->DeleteGlobalRef(log_receiver);
  log_receiver = receiver == nullptr ? nullptr : env->NewGlobalRef(receiver);
  if (log_receiver != nullptr) se_log_set(on_log, nullptr);
}

}  // namespace

void remember(JavaVM *machine) { java = machine; }

std::vector<JNINativeMethod> general_functions() {
  return {
      method<version>("version", "()[B"),
      method<system_info>("systemInfo", "()[B"),
      method<model_info>("modelInfo", "([B)[B"),
      method<set_log>("setLog", "(Ldev/sphereedge/internal/Receiver;)V"),
  };
}

}  // namespace sphere_edge_jni
