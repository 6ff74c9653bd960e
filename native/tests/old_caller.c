/* A program as it was written against the header of the first release, in interface_0.1/: it must run with every later
 * library, and is never changed to please one.
 *
 *   old-caller-test MODEL */
#include <interface_0.1/sphere_edge.h>
#include <math.h>
#include <string.h>

#include "check.h"

/* See test_sphere_edge.c. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_container_overflow=0"; }

#define CANARY 0x5E

/* Behind each struct, bytes that nobody may touch. */
typedef struct guarded_options {
  se_text_generate_options options;
  unsigned char canary[64];
} guarded_options;

typedef struct guarded_result {
  se_text_result result;
  unsigned char canary[64];
} guarded_result;

static void check_canary(const unsigned char *canary) {
  for (size_t i = 0; i < 64; i++) CHECK(canary[i] == CANARY);
}

typedef struct answer {
  char text[4096];
  size_t bytes;
  size_t logprobs;
} answer;

static bool collect(const se_text_delta *delta, void *user_data) {
  answer *out = user_data;
  CHECK(delta->size >= sizeof(*delta));
  for (size_t i = 0; i < delta->logprob_count; i++) {
    const se_token_logprob *one = &delta->logprobs[i];
    CHECK(one->logprob < 0 && one->top_count == 2 && one->top[0].logprob >= one->top[1].logprob);
  }
  out->logprobs += delta->logprob_count;
  if (delta->kind != SE_DELTA_TEXT) return true;
  CHECK(out->bytes + delta->text_bytes < sizeof(out->text));
  memcpy(out->text + out->bytes, delta->text, delta->text_bytes);
  out->bytes += delta->text_bytes;
  return true;
}

int main(int count, char **words) {
  CHECK(count == 2);
  char *json = NULL;
  CHECK_OK(se_system_info(&json));
  CHECK(strstr(json, se_version()) != NULL);
  se_string_free(json);

  se_text_open_options opening;
  memset(&opening, 0, sizeof(opening));
  opening.size = sizeof(opening);
  opening.threads = 1;
  opening.context_tokens = 256;
  se_text *text = NULL;
  CHECK_OK(se_text_open(words[1], &opening, &text));
  CHECK_OK(se_text_info(text, &json));
  CHECK(strstr(json, "\"context_tokens\":256") != NULL);
  se_string_free(json);

  guarded_options asked;
  memset(&asked, CANARY, sizeof(asked));
  CHECK_OK(se_text_default_options(text, &asked.options, sizeof(asked.options)));
  check_canary(asked.canary);
  CHECK(asked.options.size == sizeof(asked.options) && asked.options.seed == SE_SEED_RANDOM);
  asked.options.temperature = 0;
  asked.options.max_tokens = 12;
  asked.options.ignore_end_of_text = true;
  asked.options.logprobs = true;
  asked.options.top_logprobs = 2;
  asked.options.frequency_penalty = 0.5F;
  asked.options.call_id = 1;
  guarded_result told;
  memset(&told, CANARY, sizeof(told));
  told.result.size = sizeof(told.result);
  static answer first, second;
  CHECK_OK(se_text_generate(text, "The sky", &asked.options, collect, &first, &told.result));
  check_canary(told.canary);
  CHECK(told.result.size == sizeof(told.result) && told.result.finish_reason == SE_FINISH_LENGTH);
  CHECK(told.result.completion_tokens == 12 && first.logprobs == 12 && told.result.stop_index == -1);
  CHECK(strcmp(told.result.backend, "cpu") == 0);

  int32_t tokens[64];
  size_t token_count = 0;
  CHECK_OK(se_text_tokenize(text, "The sky", 7, true, true, tokens, 64, &token_count));
  CHECK(token_count == told.result.prompt_tokens);
  CHECK_OK(se_text_generate_tokens(text, tokens, token_count, &asked.options, collect, &second, NULL));
  CHECK(second.bytes == first.bytes && memcmp(first.text, second.text, first.bytes) == 0);
  float scores[64];
  CHECK_OK(se_text_score(text, tokens, token_count, scores));
  CHECK(isfinite(scores[0]));

  CHECK_OK(
      se_text_chat(text, "[{\"role\":\"user\",\"content\":\"Hi\"}]", &asked.options, collect, &second, &told.result));
  check_canary(told.canary);
  CHECK_STATUS(se_text_generate(text, NULL, &asked.options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  CHECK(strlen(se_last_error()) > 0);
  CHECK_OK(se_text_reset(text));
  se_text_cancel_call(text, 1);
  se_text_close(text);
  puts("old caller: passed");
  return 0;
}
