// What the core passes to callbacks, as events for Kotlin; Events.kt reads them in the same order.
#include "events.h"

namespace sphere_edge_jni {
namespace {

std::string string(const char *text) { return text == nullptr ? "" : text; }

const Receiver &receiver(void *user_data) { return *static_cast<Receiver *>(user_data); }

void add(Event &to, const se_token_logprob &one) {
  to.numbers.push_back(one.token_id);
  to.numbers.push_back(one.logprob);
  to.numbers.push_back(static_cast<jdouble>(one.top_count));
  to.bytes.emplace_back(one.bytes, one.byte_count);
  for (size_t at = 0; at < one.top_count; at++) {
    const se_token_logprob &top = one.top[at];
    to.numbers.push_back(top.token_id);
    to.numbers.push_back(top.logprob);
    to.bytes.emplace_back(top.bytes, top.byte_count);
  }
}

Event event(const se_audio_segment &from, bool is_final) {
  Event to{is_final ? SEGMENT_FINAL : SEGMENT, {}, {string(from.text), string(from.language)}};
  to.numbers = {static_cast<jdouble>(from.start_ms),
                static_cast<jdouble>(from.end_ms),
                from.probability,
                from.no_speech_probability,
                static_cast<jdouble>(from.word_count),
                static_cast<jdouble>(from.token_count)};
  for (size_t at = 0; at < from.word_count; at++) {
    const se_audio_word &word = from.words[at];
    to.numbers.insert(to.numbers.end(),
                      {static_cast<jdouble>(word.start_ms), static_cast<jdouble>(word.end_ms), word.probability});
    to.bytes.push_back(string(word.text));
  }
  for (size_t at = 0; at < from.token_count; at++) {
    const se_audio_token &token = from.tokens[at];
    to.numbers.insert(to.numbers.end(), {static_cast<jdouble>(token.id), token.probability});
    to.bytes.push_back(string(token.text));
  }
  return to;
}

void add(Event &to, const se_image_bitmap &bitmap) {
  to.numbers.insert(to.numbers.end(), {static_cast<jdouble>(bitmap.width), static_cast<jdouble>(bitmap.height),
                                       static_cast<jdouble>(bitmap.channels), static_cast<jdouble>(bitmap.seed)});
  const size_t count = size_t{bitmap.width} * bitmap.height * bitmap.channels;
  to.bytes.emplace_back(reinterpret_cast<const char *>(bitmap.pixels), count);
}

}  // namespace

bool on_delta(const se_text_delta *delta, void *user_data) {
  Event to{delta->kind, {static_cast<jdouble>(delta->tool_index), static_cast<jdouble>(delta->logprob_count)}, {}};
  to.bytes = {std::string(delta->text == nullptr ? "" : delta->text, delta->text_bytes), string(delta->tool_call_id),
              string(delta->tool_name)};
  for (size_t at = 0; at < delta->logprob_count; at++) add(to, delta->logprobs[at]);
  return send(receiver(user_data), to);
}

bool on_segment(const se_audio_segment *segment, void *user_data) {
  return send(receiver(user_data), event(*segment, true));
}

bool on_live_segment(const se_audio_segment *segment, bool is_final, void *user_data) {
  return send(receiver(user_data), event(*segment, is_final));
}

bool on_audio_progress(float done, void *user_data) {
  return send(receiver(user_data), Event{AUDIO_PROGRESS, {done}, {}});
}

bool on_bitmap(const se_image_bitmap *bitmap, void *user_data) {
  Event to{BITMAP, {}, {}};
  add(to, *bitmap);
  return send(receiver(user_data), to);
}

bool on_image_progress(const se_image_progress *progress, void *user_data) {
  Event to{IMAGE_PROGRESS, {}, {}};
  to.numbers = {static_cast<jdouble>(progress->image), static_cast<jdouble>(progress->images),
                static_cast<jdouble>(progress->step), static_cast<jdouble>(progress->steps)};
  if (progress->preview != nullptr) add(to, *progress->preview);
  return send(receiver(user_data), to);
}

Event event(const se_text_result &from) {
  Event to{TEXT_RESULT, {}, {from.backend}};
  to.numbers = {static_cast<jdouble>(from.finish_reason),
                static_cast<jdouble>(from.stop_index),
                static_cast<jdouble>(from.prompt_tokens),
                static_cast<jdouble>(from.cached_tokens),
                static_cast<jdouble>(from.completion_tokens),
                static_cast<jdouble>(from.reasoning_tokens),
                static_cast<jdouble>(from.seed),
                from.prefill_seconds,
                from.first_token_seconds,
                from.decode_seconds,
                static_cast<jdouble>(from.draft_tokens),
                static_cast<jdouble>(from.accepted_tokens)};
  return to;
}

Event event(const se_audio_result &from) {
  return Event{AUDIO_RESULT,
               {from.language_probability, from.audio_seconds, from.first_segment_seconds, from.total_seconds,
                from.encode_seconds, from.decode_seconds},
               {from.language}};
}

Event event(const se_image_result &from) {
  return Event{IMAGE_RESULT,
               {static_cast<jdouble>(from.seed), static_cast<jdouble>(from.steps), from.total_seconds,
                from.step_seconds, from.first_step_seconds},
               {}};
}

}  // namespace sphere_edge_jni
