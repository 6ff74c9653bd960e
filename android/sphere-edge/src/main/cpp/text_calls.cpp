// The native functions of TextManager.
#include "calls.h"
#include "events.h"
#include "options.h"

namespace sphere_edge_jni {
namespace {

se_text *handle(jlong pointer) { return reinterpret_cast<se_text *>(pointer); }

jlong open(JNIEnv *env, jobject, jbyteArray path, jobjectArray pairs) {
  se_text_open_options options{};
  options.size = sizeof options;
  Storage storage;
  if (!fill(env, pairs, TEXT_OPEN, &options, storage)) return 0;
  se_text *opened = nullptr;
  if (!succeeded(env, se_text_open(text(env, path).c_str(), &options, &opened))) return 0;
  return reinterpret_cast<jlong>(opened);
}

void close(JNIEnv *, jobject, jlong pointer) { se_text_close(handle(pointer)); }

void cancel(JNIEnv *, jobject, jlong pointer, jlong call_id) {
  if (call_id == 0)
    se_text_cancel(handle(pointer));
  else
    se_text_cancel_call(handle(pointer), static_cast<uint64_t>(call_id));
}

jbyteArray string(JNIEnv *env, se_status status, char *made) {
  if (!succeeded(env, status)) return nullptr;
  const jbyteArray out = bytes(env, made);
  se_string_free(made);
  return out;
}

jbyteArray info(JNIEnv *env, jobject, jlong pointer) {
  char *json = nullptr;
  const se_status status = se_text_info(handle(pointer), &json);
  return string(env, status, json);
}

std::vector<int32_t> numbers(JNIEnv *env, jintArray from) {
  std::vector<int32_t> out(static_cast<size_t>(env->GetArrayLength(from)));
  if (!out.empty()) env->GetIntArrayRegion(from, 0, static_cast<jsize>(out.size()), out.data());
  return out;
}

// The result is an event, too, of a call that was cancelled or took too long as well; the status is returned for those
// that are no failures.
jint ended(const Receiver &to, se_status status, const se_text_result &result) {
  JNIEnv *env = to.env;
  if (status == SE_OK || status == SE_CANCELLED) {
    if (!env->ExceptionCheck()) send(to, event(result));
    return status;
  }
  fail(env, status, se_last_error(), se_last_hint());
  return status;
}

template <typename Call>
jint generate(JNIEnv *env, jlong pointer, jobjectArray pairs, jobject receiver, Call call) {
  se_text_generate_options options{};
  if (!succeeded(env, se_text_default_options(handle(pointer), &options, sizeof options))) return SE_INTERNAL;
  Storage storage;
  if (!fill(env, pairs, TEXT_GENERATE, &options, storage)) return SE_INVALID_ARGUMENT;
  if (options.top_logprobs > 0) options.logprobs = true;
  Receiver to{env, receiver};
  se_text_result result{};
  result.size = sizeof result;
  const se_status status = call(&options, &to, &result);
  return ended(to, status, result);
}

jint generate_text(JNIEnv *env, jobject, jlong pointer, jbyteArray prompt, jobjectArray pairs, jobject receiver) {
  const std::string input = text(env, prompt);
  return generate(env, pointer, pairs, receiver, [&](auto *options, Receiver *to, auto *result) {
    return se_text_generate(handle(pointer), input.c_str(), options, on_delta, to, result);
  });
}

jint generate_tokens(JNIEnv *env, jobject, jlong pointer, jintArray ids, jobjectArray pairs, jobject receiver) {
  const std::vector<int32_t> input = numbers(env, ids);
  return generate(env, pointer, pairs, receiver, [&](auto *options, Receiver *to, auto *result) {
    return se_text_generate_tokens(handle(pointer), input.data(), input.size(), options, on_delta, to, result);
  });
}

jint chat(JNIEnv *env, jobject, jlong pointer, jbyteArray messages, jobjectArray pairs, jobject receiver) {
  const std::string input = text(env, messages);
  return generate(env, pointer, pairs, receiver, [&](auto *options, Receiver *to, auto *result) {
    return se_text_chat(handle(pointer), input.c_str(), options, on_delta, to, result);
  });
}

jlong count_chat(JNIEnv *env, jobject, jlong pointer, jbyteArray messages, jobjectArray pairs) {
  se_text_generate_options options{};
  if (!succeeded(env, se_text_default_options(handle(pointer), &options, sizeof options))) return 0;
  Storage storage;
  if (!fill(env, pairs, TEXT_GENERATE, &options, storage)) return 0;
  size_t tokens = 0;
  succeeded(env, se_text_count_chat(handle(pointer), text(env, messages).c_str(), &options, &tokens));
  return static_cast<jlong>(tokens);
}

jbyteArray render_chat(JNIEnv *env, jobject, jlong pointer, jbyteArray messages) {
  char *prompt = nullptr;
  const se_status status = se_text_render_chat(handle(pointer), text(env, messages).c_str(), &prompt);
  return string(env, status, prompt);
}

jintArray tokenize(JNIEnv *env, jobject, jlong pointer, jbyteArray from, jboolean add_special, jboolean parse_special) {
  const std::string input = text(env, from);
  size_t count = 0;
  // One token per byte at most, but for those that the model adds.
  std::vector<int32_t> ids(input.size() + 8);
  for (int attempt = 0; attempt < 2; attempt++) {
    if (!succeeded(env, se_text_tokenize(handle(pointer), input.data(), input.size(), add_special, parse_special,
                                         ids.data(), ids.size(), &count)))
      return nullptr;
    if (count <= ids.size()) break;
    ids.resize(count);
  }
  const jintArray out = env->NewIntArray(static_cast<jsize>(count));
  if (out != nullptr && count > 0) env->SetIntArrayRegion(out, 0, static_cast<jsize>(count), ids.data());
  return out;
}

jbyteArray detokenize(JNIEnv *env, jobject, jlong pointer, jintArray from, jboolean keep_special) {
  const std::vector<int32_t> ids = numbers(env, from);
  char *made = nullptr;
  size_t count = 0;
  if (!succeeded(env, se_text_detokenize(handle(pointer), ids.data(), ids.size(), keep_special, &made, &count)))
    return nullptr;
  const jbyteArray out = bytes(env, made, count);
  se_string_free(made);
  return out;
}

jdoubleArray embed(JNIEnv *env, jobject, jlong pointer, jobjectArray texts, jobjectArray pairs, jfloatArray vectors) {
  se_text_embed_options options{};
  options.size = sizeof options;
  Storage storage;
  if (!fill(env, pairs, TEXT_EMBED, &options, storage)) return nullptr;
  std::vector<std::string> inputs(static_cast<size_t>(env->GetArrayLength(texts)));
  std::vector<const char *> pointers;
  for (size_t at = 0; at < inputs.size(); at++) {
    if (!item(env, texts, static_cast<jsize>(at), inputs[at])) return nullptr;
    pointers.push_back(inputs[at].c_str());
  }
  std::vector<float> out(static_cast<size_t>(env->GetArrayLength(vectors)));
  se_text_embed_result result{};
  result.size = sizeof result;
  if (!succeeded(env, se_text_embed(handle(pointer), pointers.data(), pointers.size(), &options, out.data(), out.size(),
                                    &result)))
    return nullptr;
  if (!out.empty()) env->SetFloatArrayRegion(vectors, 0, static_cast<jsize>(out.size()), out.data());
  const jdouble figures[] = {static_cast<jdouble>(result.tokens), static_cast<jdouble>(result.truncated),
                             result.seconds};
  const jdoubleArray returned = env->NewDoubleArray(3);
  if (returned != nullptr) env->SetDoubleArrayRegion(returned, 0, 3, figures);
  return returned;
}

// Saves or restores; a key of no bytes is that of the last call.
template <typename Function>
jlong conversation(JNIEnv *env, jlong pointer, jbyteArray key, jbyteArray path, Function *function) {
  const std::string named = text(env, key);
  size_t tokens = 0;
  if (!succeeded(env,
                 function(handle(pointer), named.empty() ? nullptr : named.c_str(), text(env, path).c_str(), &tokens)))
    return 0;
  return static_cast<jlong>(tokens);
}

jlong save(JNIEnv *env, jobject, jlong pointer, jbyteArray key, jbyteArray path) {
  return conversation(env, pointer, key, path, se_text_save);
}

jlong restore(JNIEnv *env, jobject, jlong pointer, jbyteArray key, jbyteArray path) {
  return conversation(env, pointer, key, path, se_text_restore);
}

jfloatArray score(JNIEnv *env, jobject, jlong pointer, jintArray from) {
  const std::vector<int32_t> ids = numbers(env, from);
  std::vector<float> made(ids.empty() ? 0 : ids.size() - 1);
  if (!succeeded(env, se_text_score(handle(pointer), ids.data(), ids.size(), made.data()))) return nullptr;
  const jfloatArray out = env->NewFloatArray(static_cast<jsize>(made.size()));
  if (out != nullptr && !made.empty()) env->SetFloatArrayRegion(out, 0, static_cast<jsize>(made.size()), made.data());
  return out;
}

void reset(JNIEnv *env, jobject, jlong pointer) { succeeded(env, se_text_reset(handle(pointer))); }

}  // namespace

std::vector<JNINativeMethod> text_functions() {
  return {
      method<open>("textOpen", "([B[[B)J"),
      method<close>("textClose", "(J)V"),
      method<cancel>("textCancel", "(JJ)V"),
      method<info>("textInfo", "(J)[B"),
      method<generate_text>("textGenerate", "(J[B[[BLdev/sphereedge/internal/Receiver;)I"),
      method<generate_tokens>("textGenerateTokens", "(J[I[[BLdev/sphereedge/internal/Receiver;)I"),
      method<chat>("textChat", "(J[B[[BLdev/sphereedge/internal/Receiver;)I"),
      method<count_chat>("textCountChat", "(J[B[[B)J"),
      method<render_chat>("textRenderChat", "(J[B)[B"),
      method<tokenize>("textTokenize", "(J[BZZ)[I"),
      method<detokenize>("textDetokenize", "(J[IZ)[B"),
      method<embed>("textEmbed", "(J[[B[[B[F)[D"),
      method<save>("textSave", "(J[B[B)J"),
      method<restore>("textRestore", "(J[B[B)J"),
      method<score>("textScore", "(J[I)[F"),
      method<reset>("textReset", "(J)V"),
  };
}

}  // namespace sphere_edge_jni
