// The tables of names, and the one function that fills a struct by them.
#include "options.h"

#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "exchange.h"

namespace sphere_edge_jni {
namespace {

bool refuse(JNIEnv *env, const std::string &name, const std::string &value) {
  // Not all of an image.
  fail(env, SE_INVALID_ARGUMENT, "`" + value.substr(0, 100) + "` is not a value of `" + name + "`", "");
  return false;
}

template <typename Number>
bool whole(const std::string &value, long long least, unsigned long long most, void *target) {
  errno = 0;
  char *end = nullptr;
  const bool negative = value[0] == '-';
  const unsigned long long up = negative ? 0 : std::strtoull(value.c_str(), &end, 10);
  const long long down = negative ? std::strtoll(value.c_str(), &end, 10) : 0;
  if (value.empty() || *end != 0 || errno != 0 || up > most || down < least) return false;
  *static_cast<Number *>(target) = negative ? static_cast<Number>(down) : static_cast<Number>(up);
  return true;
}

bool number(const std::string &value, float *target) {
  char *end = nullptr;
  const float parsed = std::strtof(value.c_str(), &end);
  if (value.empty() || *end != 0) return false;
  *target = parsed;
  return true;
}

// "token id:bias"
bool bias(const std::string &value, Storage &storage) {
  const size_t colon = value.find(':');
  se_logit_bias one{};
  if (colon == std::string::npos || !whole<int32_t>(value.substr(0, colon), 0, INT32_MAX, &one.token_id) ||
      !number(value.substr(colon + 1), &one.bias))
    return false;
  storage.biases.push_back(one);
  return true;
}

// "strength:path"
bool lora(const std::string &value, Storage &storage) {
  const size_t colon = value.find(':');
  se_image_lora one{};
  if (colon == std::string::npos || !number(value.substr(0, colon), &one.strength)) return false;
  one.path = storage.strings.emplace_back(value.substr(colon + 1)).c_str();
  storage.loras.push_back(one);
  return true;
}

// "width:height:pixels"
bool image(const std::string &value, Storage &storage) {
  constexpr unsigned long long LONGEST_SIDE = 1ULL << 24;
  const size_t first = value.find(':');
  const size_t second = first == std::string::npos ? first : value.find(':', first + 1);
  se_chat_image one{};
  if (second == std::string::npos || !whole<uint32_t>(value.substr(0, first), 0, LONGEST_SIDE, &one.width) ||
      !whole<uint32_t>(value.substr(first + 1, second - first - 1), 0, LONGEST_SIDE, &one.height) ||
      value.size() - second - 1 != uint64_t{3} * one.width * one.height)
    return false;
  one.pixels = reinterpret_cast<const uint8_t *>(storage.strings.emplace_back(value).data()) + second + 1;
  storage.images.push_back(one);
  return true;
}

template <typename Item>
void list(char *target, const Field &field, const std::vector<Item> &items) {
  *reinterpret_cast<const Item **>(target + field.offset) = items.data();
  *reinterpret_cast<size_t *>(target + field.count_offset) = items.size();
}

bool set(const Field &field, const std::string &value, char *target, Storage &storage) {
  void *at = target + field.offset;
  switch (field.kind) {
    case Kind::I32:
      return whole<int32_t>(value, INT32_MIN, INT32_MAX, at);
    case Kind::U32:
      return whole<uint32_t>(value, 0, UINT32_MAX, at);
    case Kind::U8:
      return whole<uint8_t>(value, 0, UINT8_MAX, at);
    case Kind::U64:
      return whole<uint64_t>(value, 0, UINT64_MAX, at);
    case Kind::F32:
      return number(value, static_cast<float *>(at));
    case Kind::BOOL:
      *static_cast<bool *>(at) = value == "true";
      return value == "true" || value == "false";
    case Kind::TEXT:
      *static_cast<const char **>(at) = storage.strings.emplace_back(value).c_str();
      return true;
    case Kind::BYTES:
      *static_cast<const uint8_t **>(at) =
          reinterpret_cast<const uint8_t *>(storage.strings.emplace_back(value).data());
      return true;
    case Kind::TEXTS: {
      auto &texts = std::strcmp(field.name, "stop") == 0 ? storage.stops : storage.breakers;
      texts.push_back(storage.strings.emplace_back(value).c_str());
      list(target, field, texts);
      return true;
    }
    case Kind::IDS: {
      int32_t id = 0;
      if (!whole<int32_t>(value, 0, INT32_MAX, &id)) return false;
      storage.ids.push_back(id);
      list(target, field, storage.ids);
      return true;
    }
    case Kind::BIASES:
      if (!bias(value, storage)) return false;
      list(target, field, storage.biases);
      return true;
    case Kind::LORAS:
      if (!lora(value, storage)) return false;
      list(target, field, storage.loras);
      return true;
    case Kind::IMAGES:
      if (!image(value, storage)) return false;
      list(target, field, storage.images);
      return true;
  }
  return false;
}

}  // namespace

bool fill(JNIEnv *env, jobjectArray pairs, const std::vector<Field> &fields, void *target, Storage &storage) {
  const jsize count = env->GetArrayLength(pairs);
  for (jsize at = 0; at + 1 < count; at += 2) {
    std::string name, value;
    if (!item(env, pairs, at, name) || !item(env, pairs, at + 1, value)) return false;
    const Field *found = nullptr;
    for (const Field &field : fields)
      if (name == field.name) found = &field;
    if (found == nullptr) {
      fail(env, SE_INTERNAL, "no option is named `" + name + "`", "");
      return false;
    }
    if (!set(*found, value, static_cast<char *>(target), storage)) return refuse(env, name, value);
  }
  return true;
}

#define AT(kind, field) {#field, Kind::kind, offsetof(S, field)}
#define LIST(kind, field, count) {#field, Kind::kind, offsetof(S, field), offsetof(S, count)}

#define S se_text_open_options
const std::vector<Field> TEXT_OPEN = {AT(TEXT, backend),       AT(TEXT, cache_folder), AT(TEXT, code_folder),
                                      AT(TEXT, draft_model),   AT(TEXT, mmproj),       AT(I32, threads),
                                      AT(U32, context_tokens), AT(U32, sequences),     AT(TEXT, trusted_keys)};
#undef S
#define S se_text_generate_options
const std::vector<Field> TEXT_GENERATE = {AT(U32, max_tokens),
                                          AT(U32, timeout_ms),
                                          LIST(TEXTS, stop, stop_count),
                                          LIST(IDS, stop_token_ids, stop_token_count),
                                          AT(TEXT, grammar),
                                          AT(TEXT, json_schema),
                                          LIST(BIASES, logit_bias, logit_bias_count),
                                          AT(U32, seed),
                                          AT(F32, temperature),
                                          AT(I32, top_k),
                                          AT(F32, top_p),
                                          AT(F32, min_p),
                                          AT(F32, xtc_probability),
                                          AT(F32, xtc_threshold),
                                          AT(F32, repeat_penalty),
                                          AT(F32, presence_penalty),
                                          AT(F32, frequency_penalty),
                                          AT(I32, repeat_last_n),
                                          AT(F32, dry_multiplier),
                                          AT(F32, dry_base),
                                          AT(I32, dry_allowed_length),
                                          AT(I32, dry_last_n),
                                          AT(BOOL, ignore_end_of_text),
                                          AT(BOOL, logprobs),
                                          AT(U8, top_logprobs),
                                          LIST(TEXTS, dry_sequence_breakers, dry_sequence_breaker_count),
                                          AT(TEXT, sequence_key),
                                          AT(I32, draft),
                                          AT(U32, draft_tokens),
                                          AT(TEXT, prediction),
                                          LIST(IMAGES, images, image_count),
                                          AT(U64, call_id)};
#undef S
#define S se_text_embed_options
const std::vector<Field> TEXT_EMBED = {AT(I32, pooling), AT(U32, timeout_ms), AT(BOOL, raw), AT(BOOL, truncate),
                                       AT(U64, call_id)};
#undef S
#define S se_audio_open_options
const std::vector<Field> AUDIO_OPEN = {AT(TEXT, vad_model), AT(I32, threads), AT(TEXT, trusted_keys)};
#undef S
#define S se_audio_transcribe_options
const std::vector<Field> AUDIO_TRANSCRIBE = {AT(TEXT, language),
                                             AT(TEXT, prompt),
                                             AT(F32, temperature),
                                             AT(F32, temperature_step),
                                             AT(I32, beam_size),
                                             AT(U32, max_segment_characters),
                                             AT(U32, timeout_ms),
                                             AT(BOOL, translate),
                                             AT(BOOL, word_timestamps),
                                             AT(BOOL, vad),
                                             AT(BOOL, ignore_previous_text)};
#undef S
#define S se_audio_stream_options
const std::vector<Field> AUDIO_STREAM = {AT(U32, step_ms), AT(U32, silence_ms), AT(U32, longest_ms)};
#undef S
#define S se_image_open_options
const std::vector<Field> IMAGE_OPEN = {AT(I32, threads), AT(TEXT, trusted_keys)};
#undef S
#define S se_image_generate_options
const std::vector<Field> IMAGE_GENERATE = {AT(TEXT, negative_prompt),
                                           AT(TEXT, sampler),
                                           AT(TEXT, schedule),
                                           AT(BYTES, init),
                                           AT(BYTES, mask),
                                           LIST(LORAS, loras, lora_count),
                                           AT(U32, width),
                                           AT(U32, height),
                                           AT(U32, init_width),
                                           AT(U32, init_height),
                                           AT(U32, mask_width),
                                           AT(U32, mask_height),
                                           AT(U32, steps),
                                           AT(U32, seed),
                                           AT(U32, batch),
                                           AT(U32, timeout_ms),
                                           AT(F32, cfg_scale),
                                           AT(F32, guidance),
                                           AT(F32, strength),
                                           AT(BOOL, vae_tiling),
                                           AT(BOOL, preview)};
#undef S

}  // namespace sphere_edge_jni
