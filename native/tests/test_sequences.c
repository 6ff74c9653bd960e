/* Many calls at once on one model: each answers as it does alone, whatever happens to the others.
 *
 *   sequences-test MODEL [THREADS [DRAFT-MODEL]]
 *
 * 0 threads: as many as there are cores, and fewer while others use them.
 * Made for the sanitizers, ThreadSanitizer among them. */
#include <pthread.h>
#include <sphere_edge.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define SEQUENCES 4
/* More than there are sequences: some wait. */
#define TALKERS 6
#define ROUNDS 8
#define NEW_TOKENS 24

typedef struct output {
  uint64_t sum; /* checksum, for comparing two outputs */
  size_t bytes;
} output;

static bool take(const se_text_delta *delta, void *user_data) {
  output *out = user_data;
  for (size_t i = 0; i < delta->text_bytes; i++) {
    out->sum = (out->sum ^ (unsigned char)delta->text[i]) * UINT64_C(0x100000001b3);
  }
  out->bytes += delta->text_bytes;
  return true;
}

static se_text_generate_options options_of(se_text *text) {
  se_text_generate_options options;
  CHECK_OK(se_text_default_options(text, &options, sizeof(options)));
  options.max_tokens = NEW_TOKENS;
  options.temperature = 0;
  options.ignore_end_of_text = true;
  return options;
}

typedef struct talker {
  se_text *text;
  se_draft draft;
  char prompt[96];
  output alone;
} talker;

static output answer(const talker *one, se_draft draft) {
  se_text_generate_options options = options_of(one->text);
  options.draft = draft;
  output out = {0};
  se_text_result result = {.size = sizeof(result)};
  CHECK_OK(se_text_generate(one->text, one->prompt, &options, take, &out, &result));
  CHECK(result.completion_tokens == NEW_TOKENS);
  return out;
}

static void *talk(void *argument) {
  const talker *one = argument;
  for (int i = 0; i < ROUNDS; i++) {
    const output out = answer(one, one->draft);
    CHECK(out.sum == one->alone.sum && out.bytes == one->alone.bytes);
  }
  return NULL;
}

/* Those who disturb: each of their calls ends early, in one way or the other. */
static void *run_out_of_time(void *text) {
  for (int i = 0; i < ROUNDS; i++) {
    se_text_generate_options options = options_of(text);
    options.max_tokens = 0;
    options.timeout_ms = 1;
    const se_status status = se_text_generate(text, "time and again", &options, NULL, NULL, NULL);
    CHECK(status == SE_TIMEOUT || status == SE_OK);
  }
  return NULL;
}

static void *fail(void *text) {
  for (int i = 0; i < ROUNDS; i++) {
    se_text_generate_options options = options_of(text);
    options.grammar = "root ::= (";
    CHECK_STATUS(se_text_generate(text, "nonsense", &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  }
  return NULL;
}

static void *be_cancelled(void *text) {
  se_text_generate_options options = options_of(text);
  options.max_tokens = 0;
  options.call_id = 7;
  const se_status status = se_text_generate(text, "on and on and on", &options, NULL, NULL, NULL);
  CHECK(status == SE_CANCELLED || status == SE_OK);
  return NULL;
}

static void *stop_early(void *text) {
  int32_t tokens[64];
  for (int i = 0; i < ROUNDS; i++) {
    size_t count = 0;
    CHECK_OK(se_text_tokenize(text, "a word", 6, true, false, tokens, 64, &count));
    float scores[64];
    if (count >= 2) CHECK_OK(se_text_score(text, tokens, count, scores));
    CHECK_OK(se_text_reset(text));
    char *json = NULL;
    CHECK_OK(se_text_info(text, &json));
    se_string_free(json);
  }
  return NULL;
}

#define MOST_NUMBERS 4096

static size_t embedding_of(se_text *text, const char *words, float *numbers) {
  char *json = NULL;
  CHECK_OK(se_text_info(text, &json));
  const char *key = "\"embedding_size\":";
  const char *found = strstr(json, key);
  const size_t size = found == NULL ? 0 : strtoul(found + strlen(key), NULL, 10);
  se_string_free(json);
  CHECK(size > 0 && size <= MOST_NUMBERS);
  CHECK_OK(se_text_embed(text, &words, 1, NULL, numbers, size, NULL));
  return size;
}

static void *embed(void *text) {
  float first[MOST_NUMBERS], again[MOST_NUMBERS];
  for (int i = 0; i < ROUNDS; i++) {
    const size_t size = embedding_of(text, "words to embed", first);
    CHECK(embedding_of(text, "words to embed", again) == size);
    CHECK(memcmp(first, again, size * sizeof(*first)) == 0);
  }
  return NULL;
}

static bool keep(const se_text_delta *delta, void *user_data) {
  char *kept = user_data;
  const size_t length = strlen(kept);
  CHECK(length + delta->text_bytes < 64);
  memcpy(kept + length, delta->text, delta->text_bytes);
  kept[length + delta->text_bytes] = 0;
  return true;
}

static void *follow_schemas(void *text) {
  const char *chat =
      "{\"messages\": [{\"role\": \"user\", \"content\": \"the\"}], \"response_format\": {\"type\": "
      "\"json_schema\", \"json_schema\": {\"name\": \"x\", \"schema\": {\"enum\": [17, true]}}}}";
  for (int i = 0; i < ROUNDS; i++) {
    se_text_generate_options options = options_of(text);
    options.ignore_end_of_text = false;
    options.draft = i % 2 == 0 ? SE_DRAFT_PROMPT_LOOKUP : SE_DRAFT_OFF;
    char said[64] = "";
    if (i % 4 < 2) {
      options.json_schema = "{\"enum\": [17, true]}";
      CHECK_OK(se_text_generate(text, "the", &options, keep, said, NULL));
    } else {
      CHECK_OK(se_text_chat(text, chat, &options, keep, said, NULL));
    }
    CHECK(strcmp(said, "17") == 0 || strcmp(said, "true") == 0);
  }
  return NULL;
}

/* Saved while the others go on, and gone on with. */
static void *save_and_restore(void *text) {
  char path[64];
  snprintf(path, sizeof(path), "/tmp/sphere-edge-sequence-%ld", (long)getpid());
  for (int i = 0; i < ROUNDS / 2; i++) {
    se_text_generate_options options = options_of(text);
    options.sequence_key = "saved";
    CHECK_OK(se_text_generate(text, "a conversation that is saved", &options, NULL, NULL, NULL));
    size_t saved = 0, restored = 0;
    /* Another call may have taken its sequence meanwhile. */
    const se_status status = se_text_save(text, "saved", path, &saved);
    CHECK(status == SE_OK || status == SE_NOT_FOUND);
    if (status != SE_OK) continue;
    CHECK_OK(se_text_restore(text, "saved", path, &restored));
    CHECK(saved == restored);
  }
  remove(path);
  return NULL;
}

int main(int count, char **words) {
  CHECK(count >= 2 && count <= 4);
  const se_text_open_options open_options = {.size = sizeof(open_options),
                                             .threads = count > 2 ? atoi(words[2]) : 2,
                                             .context_tokens = 256,
                                             .draft_model = count > 3 ? words[3] : NULL,
                                             .sequences = SEQUENCES};
  se_text *text = NULL;
  CHECK_OK(se_text_open(words[1], &open_options, &text));
  talker talkers[TALKERS];
  for (int i = 0; i < TALKERS; i++) {
    talkers[i].text = text;
    /* Some guess ahead, which the others do not notice. */
    talkers[i].draft = i % 2 == 0 ? SE_DRAFT_PROMPT_LOOKUP : count > 3 ? SE_DRAFT_MODEL : SE_DRAFT_OFF;
    snprintf(talkers[i].prompt, sizeof(talkers[i].prompt), "the secret of number %d is %d; the secret of number %d is",
             i, 1000 + 137 * i, i);
    talkers[i].alone = answer(&talkers[i], SE_DRAFT_OFF);
    CHECK(talkers[i].alone.bytes > 0);
  }
  void *(*const disturbers[])(void *) = {run_out_of_time, fail,           be_cancelled,    stop_early,
                                         embed,           follow_schemas, save_and_restore};
  enum { DISTURBERS = sizeof(disturbers) / sizeof(disturbers[0]) };
  pthread_t threads[TALKERS + DISTURBERS];
  for (int i = 0; i < TALKERS; i++) CHECK(pthread_create(&threads[i], NULL, talk, &talkers[i]) == 0);
  for (int i = 0; i < DISTURBERS; i++) {
    CHECK(pthread_create(&threads[TALKERS + i], NULL, disturbers[i], text) == 0);
  }
  for (int i = 0; i < TALKERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  se_text_cancel_call(text, 7);
  for (int i = 0; i < DISTURBERS; i++) CHECK(pthread_join(threads[TALKERS + i], NULL) == 0);
  se_text_close(text);
  puts("many calls at once answer as they do alone");
  return 0;
}
