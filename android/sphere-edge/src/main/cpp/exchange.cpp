// Strings, arrays and failures between Kotlin and the core.
#include "exchange.h"

namespace sphere_edge_jni {
namespace {

constexpr const char *FAILURE = "dev/sphereedge/SphereEdgeException";
constexpr const char *RECEIVER = "dev/sphereedge/internal/Receiver";

// Global references live as long as the library, which is never unloaded.
jclass failure_class = nullptr;
jclass bytes_class = nullptr;
jmethodID failure_constructor = nullptr;
jmethodID receive = nullptr;

jclass global_class(JNIEnv *env, const char *name) {
  const jclass local = env->FindClass(name);
  return local == nullptr ? nullptr : static_cast<jclass>(env->NewGlobalRef(local));
}

}  // namespace

bool look_up(JNIEnv *env) {
  failure_class = global_class(env, FAILURE);
  if (failure_class == nullptr) return false;
  failure_constructor = env->GetMethodID(failure_class, "<init>", "(I[B[B)V");
  if (failure_constructor == nullptr) return false;
  bytes_class = global_class(env, "[B");
  if (bytes_class == nullptr) return false;
  const jclass receiver = env->FindClass(RECEIVER);
  if (receiver == nullptr) return false;
  receive = env->GetMethodID(receiver, "receive", "(I[D[[B)Z");
  return receive != nullptr;
}

void fail(JNIEnv *env, se_status status, const std::string &message, const std::string &hint) {
  // What a callback threw is the cause, and is what the caller gets.
  if (env->ExceptionCheck()) return;
  const jbyteArray said = bytes(env, message.c_str());
  const jbyteArray advice = said == nullptr ? nullptr : bytes(env, hint.c_str());
  if (advice == nullptr) return;
  const jobject failure = env->NewObject(failure_class, failure_constructor, status, said, advice);
  if (failure != nullptr) env->Throw(static_cast<jthrowable>(failure));
}

bool succeeded(JNIEnv *env, se_status status) {
  if (status != SE_OK) fail(env, status, se_last_error(), se_last_hint());
  return !env->ExceptionCheck();
}

std::string text(JNIEnv *env, jbyteArray from) {
  std::string out(from == nullptr ? 0 : static_cast<size_t>(env->GetArrayLength(from)), '\0');
  if (!out.empty())
    env->GetByteArrayRegion(from, 0, static_cast<jsize>(out.size()), reinterpret_cast<jbyte *>(out.data()));
  return out;
}

bool item(JNIEnv *env, jobjectArray array, jsize at, std::string &out) {
  const auto one = static_cast<jbyteArray>(env->GetObjectArrayElement(array, at));
  if (one == nullptr) return false;
  out = text(env, one);
  env->DeleteLocalRef(one);
  return !env->ExceptionCheck();
}

jbyteArray bytes(JNIEnv *env, const void *from, size_t count) {
  const jbyteArray out = env->NewByteArray(static_cast<jsize>(count));
  if (out != nullptr && count > 0)
    env->SetByteArrayRegion(out, 0, static_cast<jsize>(count), static_cast<const jbyte *>(from));
  return out;
}

jbyteArray bytes(JNIEnv *env, const char *from) { return bytes(env, from, std::string(from).size()); }

bool send(const Receiver &receiver, const Event &event) {
  JNIEnv *env = receiver.env;
  if (env->ExceptionCheck()) return false;
  // A call may send any number of events before it returns to Java, which would free their references.
  if (env->PushLocalFrame(static_cast<jint>(event.bytes.size()) + 4) != 0) return false;
  const jdoubleArray numbers = env->NewDoubleArray(static_cast<jsize>(event.numbers.size()));
  const jobjectArray parts =
      numbers == nullptr ? nullptr : env->NewObjectArray(static_cast<jsize>(event.bytes.size()), bytes_class, nullptr);
  bool goes_on = parts != nullptr;
  if (goes_on && !event.numbers.empty())
    env->SetDoubleArrayRegion(numbers, 0, static_cast<jsize>(event.numbers.size()), event.numbers.data());
  for (size_t at = 0; goes_on && at < event.bytes.size(); at++) {
    const jbyteArray part = bytes(env, event.bytes[at].data(), event.bytes[at].size());
    goes_on = part != nullptr;
    if (goes_on) env->SetObjectArrayElement(parts, static_cast<jsize>(at), part);
  }
  if (goes_on) goes_on = env->CallBooleanMethod(receiver.object, receive, event.kind, numbers, parts) == JNI_TRUE;
  if (env->ExceptionCheck()) goes_on = false;
  env->PopLocalFrame(nullptr);
  return goes_on;
}

}  // namespace sphere_edge_jni
