/* Shared calls of the test cases. */
#include "calls.h"

#include <string.h>

#include "check.h"

/* Unicode 15, table 3-7, written independently of the library. */
bool is_utf8(const char *bytes, size_t count) {
  const unsigned char *at = (const unsigned char *)bytes;
  const unsigned char *end = at + count;
  while (at < end) {
    size_t more = 0;
    unsigned long code = *at;
    if (code < 0x80) {
      at++;
      continue;
    }
    if (code >= 0xC2 && code <= 0xDF) {
      more = 1;
      code &= 0x1F;
    } else if (code >= 0xE0 && code <= 0xEF) {
      more = 2;
      code &= 0x0F;
    } else if (code >= 0xF0 && code <= 0xF4) {
      more = 3;
      code &= 0x07;
    } else {
      return false;
    }
    if ((size_t)(end - at) <= more) return false;
    for (size_t i = 1; i <= more; i++) {
      if ((at[i] & 0xC0) != 0x80) return false;
      code = code << 6 | (at[i] & 0x3FU);
    }
    if (more == 2 && (code < 0x800 || (code >= 0xD800 && code <= 0xDFFF))) return false;
    if (more == 3 && (code < 0x10000 || code > 0x10FFFF)) return false;
    at += more + 1;
  }
  return true;
}

bool collect(const se_text_delta *delta, void *user_data) {
  answer *out = user_data;
  CHECK(delta->size == sizeof(*delta) && delta->kind == SE_DELTA_TEXT);
  CHECK(delta->text_bytes > 0 || delta->logprob_count > 0);
  CHECK(out->bytes + delta->text_bytes < sizeof(out->text));
  memcpy(out->text + out->bytes, delta->text, delta->text_bytes);
  out->bytes += delta->text_bytes;
  for (size_t i = 0; i < delta->logprob_count; i++) {
    const se_token_logprob *one = &delta->logprobs[i];
    CHECK(out->logprobs < MOST_LOGPROBS);
    out->logprob[out->logprobs] = one->logprob;
    out->top_logprob[out->logprobs] = one->top_count > 0 ? one->top[0].logprob : one->logprob;
    out->token_ids[out->logprobs++] = one->token_id;
  }
  out->text[out->bytes] = '\0';
  out->pieces++;
  out->valid_utf8 = out->valid_utf8 && is_utf8(delta->text, delta->text_bytes);
  return out->refuse_after == 0 || out->pieces < out->refuse_after;
}

static void begin(answer *out) {
  out->text[0] = '\0';
  out->bytes = 0;
  out->pieces = 0;
  out->logprobs = 0;
  out->valid_utf8 = true;
  memset(&out->result, 0, sizeof(out->result));
  out->result.size = sizeof(out->result);
}

bool same(const answer *one, const answer *other) {
  return one->bytes == other->bytes && memcmp(one->text, other->text, one->bytes) == 0;
}

se_text *open_model(const char *path, uint32_t context_tokens) {
  se_text_open_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.threads = 2;
  options.context_tokens = context_tokens;
  se_text *text = NULL;
  CHECK_OK(se_text_open(path, &options, &text));
  CHECK(text != NULL);
  return text;
}

se_text_generate_options greedy(se_text *text, uint32_t max_tokens) {
  se_text_generate_options options;
  CHECK_OK(se_text_default_options(text, &options, sizeof(options)));
  options.temperature = 0;
  options.repeat_penalty = 1;
  options.max_tokens = max_tokens;
  return options;
}

se_text_generate_options babbling(se_text *text, uint32_t max_tokens) {
  se_text_generate_options options = greedy(text, max_tokens);
  options.temperature = 3;
  options.top_k = 0;
  options.seed = 5;
  options.ignore_end_of_text = true;
  return options;
}

se_status generate(se_text *text, const char *prompt, const se_text_generate_options *options, answer *out) {
  begin(out);
  return se_text_generate(text, prompt, options, collect, out, &out->result);
}

se_status chat(se_text *text, const char *messages, const se_text_generate_options *options, answer *out) {
  begin(out);
  return se_text_chat(text, messages, options, collect, out, &out->result);
}
