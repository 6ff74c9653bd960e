// The native functions of AudioManager and its streams.
#include "calls.h"
#include "events.h"
#include "options.h"

namespace sphere_edge_jni {
namespace {

se_audio *handle(jlong pointer) { return reinterpret_cast<se_audio *>(pointer); }

// The core calls back inside push and finish only; `receiver` is that of the call that runs.
struct Stream {
  se_audio_stream *stream = nullptr;
  Receiver receiver{};
};

Stream *stream(jlong pointer) { return reinterpret_cast<Stream *>(pointer); }

std::vector<float> samples(JNIEnv *env, jfloatArray from) {
  std::vector<float> out(static_cast<size_t>(env->GetArrayLength(from)));
  if (!out.empty()) env->GetFloatArrayRegion(from, 0, static_cast<jsize>(out.size()), out.data());
  return out;
}

jlong open(JNIEnv *env, jobject, jbyteArray path, jobjectArray pairs) {
  se_audio_open_options options{};
  options.size = sizeof options;
  Storage storage;
  if (!fill(env, pairs, AUDIO_OPEN, &options, storage)) return 0;
  se_audio *opened = nullptr;
  if (!succeeded(env, se_audio_open(text(env, path).c_str(), &options, &opened))) return 0;
  return reinterpret_cast<jlong>(opened);
}

void close(JNIEnv *, jobject, jlong pointer) { se_audio_close(handle(pointer)); }

void cancel(JNIEnv *, jobject, jlong pointer) { se_audio_cancel(handle(pointer)); }

jbyteArray info(JNIEnv *env, jobject, jlong pointer) {
  char *json = nullptr;
  if (!succeeded(env, se_audio_info(handle(pointer), &json))) return nullptr;
  const jbyteArray out = bytes(env, json);
  se_string_free(json);
  return out;
}

jint transcribe(JNIEnv *env, jobject, jlong pointer, jfloatArray from, jobjectArray pairs, jobject receiver) {
  se_audio_transcribe_options options{};
  if (!succeeded(env, se_audio_default_options(&options, sizeof options))) return SE_INTERNAL;
  Storage storage;
  if (!fill(env, pairs, AUDIO_TRANSCRIBE, &options, storage)) return SE_INVALID_ARGUMENT;
  options.on_progress = on_audio_progress;
  Receiver to{env, receiver};
  se_audio_result result{};
  result.size = sizeof result;
  const std::vector<float> input = samples(env, from);
  const se_status status =
      se_audio_transcribe(handle(pointer), input.data(), input.size(), &options, on_segment, &to, &result);
  if (status == SE_OK || status == SE_CANCELLED) {
    if (!env->ExceptionCheck()) send(to, event(result));
  } else {
    fail(env, status, se_last_error(), se_last_hint());
  }
  return status;
}

bool on_stream(const se_audio_segment *segment, bool is_final, void *user_data) {
  return on_live_segment(segment, is_final, &static_cast<Stream *>(user_data)->receiver);
}

jlong stream_open(JNIEnv *env, jobject, jlong pointer, jobjectArray transcribe_pairs, jobjectArray pairs) {
  se_audio_transcribe_options transcribe{};
  se_audio_stream_options options{};
  if (!succeeded(env, se_audio_default_options(&transcribe, sizeof transcribe)) ||
      !succeeded(env, se_audio_stream_default_options(&options, sizeof options)))
    return 0;
  // Live audio has no time for a second attempt.
  transcribe.temperature_step = 0;
  Storage storage;
  if (!fill(env, transcribe_pairs, AUDIO_TRANSCRIBE, &transcribe, storage) ||
      !fill(env, pairs, AUDIO_STREAM, &options, storage))
    return 0;
  options.transcribe = &transcribe;
  auto *opened = new Stream;
  if (!succeeded(env, se_audio_stream_open(handle(pointer), &options, on_stream, opened, &opened->stream))) {
    delete opened;
    return 0;
  }
  return reinterpret_cast<jlong>(opened);
}

jint stream_ended(JNIEnv *env, se_status status) {
  if (status != SE_OK && status != SE_CANCELLED) fail(env, status, se_last_error(), se_last_hint());
  return status;
}

jint stream_push(JNIEnv *env, jobject, jlong pointer, jfloatArray from, jobject receiver) {
  stream(pointer)->receiver = {env, receiver};
  const std::vector<float> input = samples(env, from);
  return stream_ended(env, se_audio_stream_push(stream(pointer)->stream, input.data(), input.size()));
}

jint stream_finish(JNIEnv *env, jobject, jlong pointer, jobject receiver) {
  stream(pointer)->receiver = {env, receiver};
  return stream_ended(env, se_audio_stream_finish(stream(pointer)->stream));
}

void stream_close(JNIEnv *, jobject, jlong pointer) {
  se_audio_stream_close(stream(pointer)->stream);
  delete stream(pointer);
}

}  // namespace

std::vector<JNINativeMethod> audio_functions() {
  return {
      method<open>("audioOpen", "([B[[B)J"),
      method<close>("audioClose", "(J)V"),
      method<cancel>("audioCancel", "(J)V"),
      method<info>("audioInfo", "(J)[B"),
      method<transcribe>("audioTranscribe", "(J[F[[BLdev/sphereedge/internal/Receiver;)I"),
      method<stream_open>("streamOpen", "(J[[B[[B)J"),
      method<stream_push>("streamPush", "(J[FLdev/sphereedge/internal/Receiver;)I"),
      method<stream_finish>("streamFinish", "(JLdev/sphereedge/internal/Receiver;)I"),
      method<stream_close>("streamClose", "(J)V"),
  };
}

}  // namespace sphere_edge_jni
