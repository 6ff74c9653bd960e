/* What se_text_* promises, case by case; one file, because each case is a few lines and the list at its end names all.
 */
#include "cases.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "check.h"

/* Large, and each used by one case at a time. */
static answer first;
static answer second;

static const char *const prompt = "What is the colour of the sky over \xC3\x85land \xF0\x9F\x8C\x8A?";

static void it_reports_what_it_opened(const char *model) {
  char *json = NULL;
  CHECK_OK(se_model_info(model, &json));
  CHECK(strstr(json, "\"family\":") != NULL);
  se_string_free(json);
  se_text *text = open_model(model, 0);
  CHECK_OK(se_text_info(text, &json));
  CHECK(strstr(json, "\"has_chat_template\":true") != NULL);
  CHECK(strstr(json, "\"threads\":2") != NULL);
  se_string_free(json);
  CHECK_OK(se_system_info(&json));
  CHECK(strstr(json, "\"runtime_abi\":1") != NULL);
  se_string_free(json);
  CHECK_OK(se_gpu_info(&json));
  CHECK(strstr(json, "\"gpus\":[") != NULL);
  se_string_free(json);
  se_text_close(text);
}

static void greedy_answers_repeat_and_reuse_the_prompt(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 24);
  options.ignore_end_of_text = true;
  CHECK_OK(generate(text, prompt, &options, &first));
  CHECK(first.result.prompt_tokens > 1 && first.result.cached_tokens == 0);
  CHECK(first.result.completion_tokens == 24);
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(same(&first, &second));
  CHECK(second.result.cached_tokens == second.result.prompt_tokens - 1);
  CHECK_OK(se_text_reset(text));
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(same(&first, &second));
  CHECK(second.result.cached_tokens == 0);
  se_text_close(text);
}

static void a_seed_repeats_an_answer(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 24);
  options.temperature = 1.5F;
  options.top_k = 0;
  options.top_p = 0.98F;
  options.min_p = 0.001F;
  options.repeat_penalty = 1.1F;
  options.ignore_end_of_text = true;
  CHECK_OK(generate(text, prompt, &options, &first));
  CHECK(first.result.seed != SE_SEED_RANDOM);
  options.seed = first.result.seed;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(same(&first, &second));
  options.seed = first.result.seed + 1;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(!same(&first, &second));
  se_text_close(text);
}

static void a_penalty_changes_what_repeats(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 40);
  options.ignore_end_of_text = true;
  CHECK_OK(generate(text, prompt, &options, &first));
  options.repeat_penalty = 1e6F;
  options.repeat_last_n = 256;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(!same(&first, &second));
  se_text_close(text);
}

static void pieces_are_whole_characters(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 300);
  options.temperature = 5;
  options.top_k = 0;
  options.top_p = 1;
  options.min_p = 0;
  options.ignore_end_of_text = true;
  for (uint32_t seed = 1; seed <= 4; seed++) {
    options.seed = seed;
    CHECK_OK(generate(text, prompt, &options, &first));
    CHECK(first.valid_utf8);
    CHECK(first.result.finish_reason == SE_FINISH_LENGTH);
    CHECK(first.result.completion_tokens == 300);
  }
  se_text_close(text);
}

static void an_answer_ends_before_a_stop_string(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = babbling(text, 40);
  CHECK_OK(generate(text, prompt, &options, &first));
  CHECK(first.bytes >= 8);
  /* Cut from the middle, it usually spans two tokens; begun on a character, and without NUL bytes. */
  char stop[64];
  size_t begin = first.bytes / 2;
  while (((unsigned char)first.text[begin] & 0xC0) == 0x80 || first.text[begin] == '\0') begin--;
  size_t end = begin + 1;
  while (end < first.bytes && first.text[end] != '\0' &&
         (end < begin + 4 || ((unsigned char)first.text[end] & 0xC0) == 0x80)) {
    end++;
  }
  memcpy(stop, first.text + begin, end - begin);
  stop[end - begin] = '\0';
  size_t found = 0;
  while (memcmp(first.text + found, stop, end - begin) != 0) found++;
  const char *const stops[] = {"never \xF0\x9F\xA6\x96 said", stop};
  options.stop = stops;
  options.stop_count = 2;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(second.result.finish_reason == SE_FINISH_STOP && second.result.stop_index == 1);
  CHECK(second.bytes == found);
  CHECK(memcmp(first.text, second.text, second.bytes) == 0);
  se_text_close(text);
}

static void *cancel_it(void *text) {
  se_text_cancel(text);
  return NULL;
}

typedef struct cancelling {
  se_text *text;
  pthread_t thread;
  bool started;
} cancelling;

static bool cancel_elsewhere(const se_text_delta *delta, void *user_data) {
  (void)delta;
  cancelling *state = user_data;
  if (!state->started) {
    state->started = true;
    CHECK(pthread_create(&state->thread, NULL, cancel_it, state->text) == 0);
  }
  return true;
}

static void another_thread_cancels_a_call(const char *model) {
  se_text *text = open_model(model, 0);
  const se_text_generate_options options = babbling(text, 0);
  cancelling state = {text, 0, false};
  se_text_result result;
  memset(&result, 0, sizeof(result));
  result.size = sizeof(result);
  se_text_cancel(text); /* no call runs: does nothing */
  CHECK_STATUS(se_text_generate(text, prompt, &options, cancel_elsewhere, &state, &result), SE_CANCELLED);
  CHECK(pthread_join(state.thread, NULL) == 0);
  CHECK(result.finish_reason == SE_FINISH_CANCELLED);
  CHECK(result.completion_tokens > 0);
  const se_text_generate_options few = greedy(text, 4);
  CHECK_OK(generate(text, prompt, &few, &first));
  se_text_close(text);
}

static void the_callback_stops_a_call(const char *model) {
  se_text *text = open_model(model, 0);
  const se_text_generate_options options = babbling(text, 50);
  first.refuse_after = 2;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_CANCELLED);
  CHECK(first.pieces == 2);
  CHECK(first.result.finish_reason == SE_FINISH_CANCELLED);
  first.refuse_after = 0;
  se_text_close(text);
}

static bool call_again(const se_text_delta *delta, void *user_data) {
  (void)delta;
  CHECK_STATUS(se_text_reset(user_data), SE_INVALID_ARGUMENT);
  return true;
}

static void the_callback_cannot_call_the_model(const char *model) {
  se_text *text = open_model(model, 0);
  const se_text_generate_options options = greedy(text, 2);
  CHECK_OK(se_text_generate(text, prompt, &options, call_again, text, NULL));
  se_text_close(text);
}

static bool close_it(const se_text_delta *delta, void *user_data) {
  (void)delta;
  se_text_close(user_data);
  CHECK(strstr(se_last_error(), "its own callback") != NULL);
  return true;
}

static void closing_in_a_callback_waits_for_nothing(const char *model) {
  se_text *text = open_model(model, 0);
  const se_text_generate_options options = greedy(text, 4);
  CHECK_OK(se_text_generate(text, prompt, &options, close_it, text, NULL));
  /* It is open as before. */
  CHECK_OK(generate(text, prompt, &options, &first));
  se_text_close(text);
}

static void time_runs_out(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 0);
  options.ignore_end_of_text = true;
  options.timeout_ms = 1;
  se_text_generate_options endless = options;
  endless.max_tokens = 0;
  CHECK_STATUS(generate(text, prompt, &endless, &first), SE_TIMEOUT);
  CHECK(strstr(se_last_error(), "`1`") != NULL || strstr(se_last_error(), "1 ms") != NULL);
  se_text_close(text);
}

static void a_second_turn_prefills_only_what_is_new(const char *model) {
  se_text *text = open_model(model, 0);
  const se_text_generate_options options = greedy(text, 8);
  CHECK_OK(chat(text, "[{\"role\":\"user\",\"content\":\"Good morning to you\"}]", &options, &first));
  CHECK(first.result.cached_tokens == 0);
  const char *two =
      "[{\"role\":\"user\",\"content\":\"Good morning to you\"},{\"role\":\"assistant\",\"content\":\"Same\"},"
      "{\"role\":\"user\",\"content\":\"And now?\"}]";
  CHECK_OK(chat(text, two, &options, &second));
  CHECK(second.result.prompt_tokens > first.result.prompt_tokens);
  CHECK(second.result.cached_tokens + 4 >= first.result.prompt_tokens);
  /* Reuse must not change the answer. */
  CHECK_OK(se_text_reset(text));
  CHECK_OK(chat(text, two, &options, &first));
  CHECK(first.result.cached_tokens == 0);
  CHECK(same(&first, &second));
  char *rendered = NULL;
  CHECK_OK(se_text_render_chat(text, two, &rendered));
  CHECK(strstr(rendered, "And now?") != NULL);
  se_string_free(rendered);
  const char *whole =
      "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"chat_template_kwargs\":{\"a\":[1,0.5,null,true,{\"b\":"
      "\"c\"}]}}";
  CHECK_OK(se_text_render_chat(text, whole, &rendered));
  CHECK(strstr(rendered, "Hi") != NULL);
  se_string_free(rendered);
  CHECK(se_text_render_chat(text, "{\"messages\":[]}", &rendered) == SE_INVALID_ARGUMENT);
  CHECK(se_text_render_chat(text, "{\"chat_template_kwargs\":{}}", &rendered) == SE_INVALID_ARGUMENT);
  se_text_close(text);
}

static size_t vocabulary_of(se_text *text) {
  char *json = NULL;
  CHECK_OK(se_text_info(text, &json));
  const char *found = strstr(json, "\"vocab_size\":");
  CHECK(found != NULL);
  const size_t size = strtoul(found + strlen("\"vocab_size\":"), NULL, 10);
  se_string_free(json);
  return size;
}

static void scores_are_the_logarithms_of_the_softmax(const char *model) {
  enum { COUNT = 150 };
  se_text *text = open_model(model, 0);
  const size_t vocabulary = vocabulary_of(text);
  int32_t tokens[COUNT];
  for (int i = 0; i < COUNT; i++) tokens[i] = (int32_t)((unsigned)(i * 7919 + 300) % vocabulary);
  float *logits = malloc(COUNT * vocabulary * sizeof(float));
  float *next = malloc(vocabulary * sizeof(float));
  float scores[COUNT];
  CHECK(logits != NULL && next != NULL);
  CHECK_STATUS(se_text_logits(text, tokens, COUNT, logits, COUNT * vocabulary - 1), SE_INVALID_ARGUMENT);
  CHECK_OK(se_text_logits(text, tokens, COUNT, logits, COUNT * vocabulary));
  CHECK_OK(se_text_score(text, tokens, COUNT, scores));
  for (int i = 0; i + 1 < COUNT; i++) {
    const float *row = logits + (size_t)i * vocabulary;
    double sum = 0;
    for (size_t v = 0; v < vocabulary; v++) sum += exp((double)row[v]);
    CHECK(fabs((double)row[tokens[i + 1]] - log(sum) - (double)scores[i]) < 1e-3);
  }
  /* In chunks or all at once, with one token or many: the likeliest next token is the same. */
  se_text_generate_options options = greedy(text, 1);
  options.ignore_end_of_text = true;
  for (size_t count = 1; count <= COUNT; count += 37) {
    const float *row = logits + (count - 1) * vocabulary;
    int32_t best = 0;
    for (size_t v = 1; v < vocabulary; v++) best = row[v] > row[best] ? (int32_t)v : best;
    memset(&first, 0, sizeof(first));
    CHECK_OK(se_text_generate_tokens(text, tokens, count, &options, collect, &first, NULL));
    char *wanted = NULL;
    CHECK_OK(se_text_detokenize(text, &best, 1, false, &wanted, NULL));
    /* Text alone loses the space that SentencePiece puts before a word. */
    CHECK(strcmp(first.text + (first.text[0] == ' ' && wanted[0] != ' ' ? 1 : 0), wanted) == 0);
    se_string_free(wanted);
    /* The row that generation samples from, computed its own way. */
    CHECK_STATUS(se_text_next_logits(text, tokens, count, next, vocabulary - 1), SE_INVALID_ARGUMENT);
    CHECK_OK(se_text_next_logits(text, tokens, count, next, vocabulary));
    int32_t likeliest = 0;
    for (size_t v = 1; v < vocabulary; v++) likeliest = next[v] > next[likeliest] ? (int32_t)v : likeliest;
    CHECK(likeliest == best);
  }
  free(next);
  free(logits);
  se_text_close(text);
}

static void text_survives_tokens(const char *model) {
  const char *original = "caf\xC3\xA9 \xE2\x82\xAC 42, tab\tand\nline \xF0\x9F\x90\xA1";
  se_text *text = open_model(model, 0);
  size_t count = 0;
  CHECK_OK(se_text_tokenize(text, original, strlen(original), false, false, NULL, 0, &count));
  CHECK(count > 0 && count < 256);
  int32_t tokens[256];
  size_t again = 0;
  CHECK_OK(se_text_tokenize(text, original, strlen(original), false, false, tokens, 256, &again));
  CHECK(again == count);
  char *back = NULL;
  size_t bytes = 0;
  CHECK_OK(se_text_detokenize(text, tokens, count, false, &back, &bytes));
  CHECK(bytes == strlen(back));
  /* SentencePiece puts a space before the text; nothing else may differ. */
  CHECK(strcmp(back + (back[0] == ' ' ? 1 : 0), original) == 0);
  se_string_free(back);
  tokens[0] = -1;
  CHECK_STATUS(se_text_detokenize(text, tokens, 1, false, &back, NULL), SE_INVALID_ARGUMENT);
  se_text_close(text);
}

static void an_answer_obeys_a_grammar(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 60);
  options.grammar = "root ::= \"yes\" | \"no, \\\"never\\\"\"";
  for (uint32_t seed = 1; seed <= 3; seed++) {
    options.temperature = 2;
    options.seed = seed;
    CHECK_OK(generate(text, prompt, &options, &first));
    CHECK(strcmp(first.text, "yes") == 0 || strcmp(first.text, "no, \"never\"") == 0);
    CHECK(first.result.finish_reason == SE_FINISH_STOP);
  }
  options.grammar = NULL;
  options.json_schema = "{\"enum\": [\"red\", 42, null]}";
  CHECK_OK(generate(text, prompt, &options, &first));
  CHECK(strcmp(first.text, "\"red\"") == 0 || strcmp(first.text, "42") == 0 || strcmp(first.text, "null") == 0);
  options.grammar = "root ::= [a";
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options.json_schema = NULL;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options.grammar = "other ::= \"x\"";
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  CHECK(strstr(se_last_error(), "`root`") != NULL);
  options.grammar = "root ::= root \"x\"";
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options.grammar = NULL;
  options.json_schema = "{\"type\": \"object\", \"properties\": ";
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  se_text_close(text);
}

static void a_full_context_ends_the_answer(const char *model) {
  se_text *text = open_model(model, 48);
  se_text_generate_options options = greedy(text, 0);
  options.ignore_end_of_text = true;
  int32_t tokens[64];
  for (int i = 0; i < 64; i++) tokens[i] = 20 + i;
  CHECK_OK(se_text_generate_tokens(text, tokens, 40, &options, NULL, NULL, NULL));
  first.result.size = sizeof(first.result);
  CHECK_OK(se_text_generate_tokens(text, tokens, 40, &options, NULL, NULL, &first.result));
  CHECK(first.result.finish_reason == SE_FINISH_LENGTH);
  /* 8 more fit, and the one after the last needs no room. */
  CHECK(first.result.completion_tokens == 9);
  CHECK_OK(se_text_generate_tokens(text, tokens, 48, &options, NULL, NULL, &first.result));
  CHECK(first.result.completion_tokens == 1);
  CHECK_STATUS(se_text_generate_tokens(text, tokens, 49, &options, NULL, NULL, &first.result), SE_INVALID_ARGUMENT);
  CHECK(strstr(se_last_error(), "`49`") != NULL && strstr(se_last_error(), "`48`") != NULL);
  CHECK(strlen(se_last_hint()) > 0);
  se_text_close(text);
}

static void wrong_arguments_are_distinguished(const char *model) {
  se_text *text = NULL;
  CHECK_STATUS(se_text_open(NULL, NULL, &text), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_text_open(model, NULL, NULL), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_text_open("no/such/model", NULL, &text), SE_NOT_FOUND);
  CHECK(text == NULL);
  CHECK(strstr(se_last_error(), "`no/such/model`") != NULL);
  CHECK_STATUS(se_text_reset(NULL), SE_INVALID_ARGUMENT);
  se_text_close(NULL);
  se_text_cancel(NULL);
  se_string_free(NULL);

  text = open_model(model, 64);
  se_text_generate_options options = greedy(text, 1);
  CHECK_STATUS(generate(text, NULL, &options, &first), SE_INVALID_ARGUMENT);
  const int32_t unknown = 1 << 30;
  CHECK_STATUS(se_text_generate_tokens(text, &unknown, 1, &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_text_generate_tokens(text, NULL, 0, &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  options.temperature = -1;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options = greedy(text, 1);
  options.top_p = 0;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options = greedy(text, 1);
  options.size = 3;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options = greedy(text, 1);
  options.stop_count = 1;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  const char *const empty = "";
  options.stop = &empty;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options = greedy(text, 1);
  const char *const bad_messages[] = {"",
                                      "{}",
                                      "[]",
                                      "[1]",
                                      "[{\"role\":\"user\"}]",
                                      "[{\"role\":\"judge\",\"content\":\"x\"}]",
                                      "[{\"role\":\"user\",\"content\":1}]"};
  for (size_t i = 0; i < sizeof(bad_messages) / sizeof(bad_messages[0]); i++) {
    CHECK_STATUS(chat(text, bad_messages[i], &options, &first), SE_INVALID_ARGUMENT);
    CHECK(strlen(se_last_error()) > 0);
  }
  CHECK_OK(generate(text, prompt, &options, &first));
  CHECK(strcmp(se_last_error(), "") == 0);
  se_text_close(text);
}

static void older_and_newer_callers_are_understood(const char *model) {
  se_text *text = open_model(model, 0);
  const se_text_generate_options options = greedy(text, 3);
  /* An older caller's struct ends after max_tokens; what follows must not be read. */
  struct {
    size_t size;
    uint32_t max_tokens;
  } older = {sizeof(older), 3};
  CHECK_OK(generate(text, prompt, (const se_text_generate_options *)(const void *)&older, &first));
  CHECK(first.result.completion_tokens <= 3);
  struct {
    se_text_generate_options known;
    char added_later[64];
  } newer;
  memset(&newer, 0x7F, sizeof(newer));
  newer.known = options;
  newer.known.size = sizeof(newer);
  CHECK_OK(generate(text, prompt, &newer.known, &first));
  se_text_close(text);
}

/* An out_ struct of every length up to our own: what follows it stays whole. Exactly as long as the caller says, so
 * that the address sanitizer sees a byte too many as well. */
static void structs_of_any_length_stay_whole(const char *model) {
  se_text *text = open_model(model, 0);
  const se_text_generate_options few = greedy(text, 2);
  for (size_t size = sizeof(size_t); size <= sizeof(se_text_generate_options) + 64; size += sizeof(size_t)) {
    unsigned char *bytes = malloc(size + 16);
    CHECK(bytes != NULL);
    memset(bytes, 0xA5, size + 16);
    CHECK_OK(se_text_default_options(text, (se_text_generate_options *)(void *)bytes, size));
    CHECK(*(size_t *)(void *)bytes == size);
    for (size_t i = 0; i < 16; i++) CHECK(bytes[size + i] == 0xA5);
    /* What the library does not know of a newer struct stays as it was. */
    for (size_t i = sizeof(se_text_generate_options); i < size; i++) CHECK(bytes[i] == 0xA5);
    free(bytes);
    se_text_generate_options *exact = malloc(size);
    CHECK(exact != NULL);
    CHECK_OK(se_text_default_options(text, exact, size));
    if (size >= offsetof(se_text_generate_options, timeout_ms)) exact->max_tokens = 2;
    if (size > offsetof(se_text_generate_options, max_tokens)) CHECK_OK(generate(text, prompt, exact, &first));
    free(exact);
    se_text_result *result = malloc(size);
    CHECK(result != NULL);
    result->size = size;
    CHECK_OK(se_text_generate(text, prompt, &few, NULL, NULL, result));
    CHECK(result->size == size);
    if (size >= sizeof(*result)) CHECK(result->completion_tokens <= 2 && result->backend[0] != '\0');
    free(result);
  }
  se_text_generate_options options;
  CHECK_STATUS(se_text_default_options(text, &options, 3), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_text_default_options(text, &options, 5000), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_text_default_options(text, NULL, sizeof(options)), SE_INVALID_ARGUMENT);
  se_text_close(text);
}

static void log_probabilities_are_those_of_the_model(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 12);
  options.ignore_end_of_text = true;
  options.logprobs = true;
  options.top_logprobs = 5;
  options.repeat_penalty = 1.5F; /* they are those before penalties */
  CHECK_OK(generate(text, prompt, &options, &first));
  CHECK(first.logprobs == first.result.completion_tokens && first.logprobs == 12);
  int32_t tokens[128];
  size_t count = 0;
  CHECK_OK(se_text_tokenize(text, prompt, strlen(prompt), true, true, tokens, 64, &count));
  CHECK(count == first.result.prompt_tokens);
  memcpy(tokens + count, first.token_ids, 12 * sizeof(int32_t));
  float scores[128];
  CHECK_OK(se_text_score(text, tokens, count + 12, scores));
  for (size_t i = 0; i < 12; i++) {
    CHECK(fabs((double)scores[count - 1 + i] - (double)first.logprob[i]) < 2e-2);
    CHECK(first.top_logprob[i] >= first.logprob[i] && first.logprob[i] < 0);
  }
  options.top_logprobs = 21;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  se_text_close(text);
}

static void a_bias_forbids_and_forces_tokens(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 3);
  options.ignore_end_of_text = true;
  options.logprobs = true;
  CHECK_OK(generate(text, prompt, &options, &first));
  const int32_t favourite = first.token_ids[0];
  se_logit_bias bias = {favourite, -INFINITY};
  options.logit_bias = &bias;
  options.logit_bias_count = 1;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(second.token_ids[0] != favourite);
  bias = (se_logit_bias){42, 1000};
  CHECK_OK(generate(text, prompt, &options, &second));
  for (size_t i = 0; i < second.logprobs; i++) CHECK(second.token_ids[i] == 42);
  CHECK(second.logprobs == 3);
  bias.bias = NAN;
  CHECK_STATUS(generate(text, prompt, &options, &second), SE_INVALID_ARGUMENT);
  bias = (se_logit_bias){-1, 1};
  CHECK_STATUS(generate(text, prompt, &options, &second), SE_INVALID_ARGUMENT);
  const size_t vocabulary = vocabulary_of(text);
  se_logit_bias *all = malloc(vocabulary * sizeof(se_logit_bias));
  CHECK(all != NULL);
  for (size_t i = 0; i < vocabulary; i++) all[i] = (se_logit_bias){(int32_t)i, -INFINITY};
  options.logit_bias = all;
  options.logit_bias_count = vocabulary;
  const se_status none = generate(text, prompt, &options, &second);
  CHECK(none == SE_INVALID_ARGUMENT);
  free(all);
  se_text_close(text);
}

static void the_answer_stops_before_a_stop_token(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = babbling(text, 20);
  options.logprobs = true;
  CHECK_OK(generate(text, prompt, &options, &first));
  size_t at = 0; /* where the token that ends the answer occurs for the first time */
  while (first.token_ids[at] != first.token_ids[7]) at++;
  const int32_t stops[] = {first.token_ids[7]};
  options.stop_token_ids = stops;
  options.stop_token_count = 1;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(second.result.finish_reason == SE_FINISH_STOP && second.result.stop_index == -1);
  CHECK(second.result.completion_tokens == at && second.logprobs == at);
  const int32_t unknown = 1 << 30;
  options.stop_token_ids = &unknown;
  CHECK_STATUS(generate(text, prompt, &options, &second), SE_INVALID_ARGUMENT);
  se_text_close(text);
}

/* One token over and over; the penalties must break it, each in its own way. */
static void every_penalty_breaks_a_repetition(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 16);
  options.ignore_end_of_text = true;
  options.logprobs = true;
  const se_logit_bias bias = {42, 50};
  options.logit_bias = &bias;
  options.logit_bias_count = 1;
  CHECK_OK(generate(text, prompt, &options, &first));
  for (size_t i = 0; i < first.logprobs; i++) CHECK(first.token_ids[i] == 42);
  options.presence_penalty = 200;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(second.token_ids[0] == 42 && second.token_ids[1] != 42);
  options.presence_penalty = 0;
  options.frequency_penalty = 15; /* 50 lasts for a few occurrences */
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(second.token_ids[0] == 42 && second.token_ids[1] == 42);
  size_t times = 0;
  for (size_t i = 0; i < second.logprobs; i++) times += second.token_ids[i] == 42;
  CHECK(times >= 2 && times < 8);
  options.frequency_penalty = 0;
  options.dry_multiplier = 5;
  options.dry_base = 4;
  options.dry_allowed_length = 2;
  /* Not the default ones, which may be token 42. */
  const char *const breakers[] = {"\n"};
  options.dry_sequence_breakers = breakers;
  options.dry_sequence_breaker_count = 1;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(second.token_ids[2] == 42 && !same(&first, &second));
  times = 0;
  for (size_t i = 0; i < second.logprobs; i++) times += second.token_ids[i] == 42;
  CHECK(times < 16);
  options.dry_multiplier = 0;
  options.logit_bias_count = 0;
  /* XTC leaves out the likeliest tokens, always; with a threshold of 0 only the least likely one is left. */
  options.xtc_probability = 1;
  options.xtc_threshold = 0;
  CHECK_OK(generate(text, prompt, &options, &second));
  options.xtc_probability = 0;
  CHECK_OK(generate(text, prompt, &options, &first));
  CHECK(second.logprob[0] < first.logprob[0]);
  options.xtc_probability = 2;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options.xtc_probability = 0;
  options.dry_multiplier = -1;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  options.dry_multiplier = 0;
  options.presence_penalty = NAN;
  CHECK_STATUS(generate(text, prompt, &options, &first), SE_INVALID_ARGUMENT);
  se_text_close(text);
}

static bool cancel_other_then_own(const se_text_delta *delta, void *user_data) {
  (void)delta;
  static size_t count;
  count++;
  se_text_cancel_call(user_data, count < 3 ? 6 : 7); /* the call 6 does not run */
  CHECK(count <= 3);
  return true;
}

static void a_call_is_cancelled_by_its_name(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = babbling(text, 50);
  options.call_id = 7;
  first.result.size = sizeof(first.result);
  CHECK_STATUS(se_text_generate(text, prompt, &options, cancel_other_then_own, text, &first.result), SE_CANCELLED);
  CHECK(first.result.completion_tokens >= 3);
  se_text_cancel_call(text, 7);
  se_text_cancel_call(NULL, 7);
  CHECK_OK(generate(text, prompt, &options, &first));
  se_text_close(text);
}

static void read_bytes(const char *path, unsigned char **bytes, size_t *count) {
  FILE *file = fopen(path, "rb");
  CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
  *count = (size_t)ftell(file);
  *bytes = malloc(*count);
  CHECK(*bytes != NULL && fseek(file, 0, SEEK_SET) == 0 && fread(*bytes, 1, *count, file) == *count);
  fclose(file);
}

static void write_bytes(const char *path, const unsigned char *bytes, size_t count) {
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL && fwrite(bytes, 1, count, file) == count && fclose(file) == 0);
}

static void a_saved_conversation_goes_on(const char *model) {
  char path[64], damaged[80];
  snprintf(path, sizeof(path), "/tmp/sphere-edge-saved-%ld", (long)getpid());
  snprintf(damaged, sizeof(damaged), "%s.damaged", path);
  const char *one = "[{\"role\":\"user\",\"content\":\"Good morning to you, and to all the others\"}]";
  const char *two =
      "[{\"role\":\"user\",\"content\":\"Good morning to you, and to all the others\"},{\"role\":\"assistant\","
      "\"content\":\"Same\"},{\"role\":\"user\",\"content\":\"And now?\"}]";
  se_text *text = open_model(model, 256);
  size_t tokens = 0, again = 0;
  CHECK_STATUS(se_text_save(text, NULL, path, &tokens), SE_NOT_FOUND);
  const se_text_generate_options options = greedy(text, 8);
  CHECK_OK(chat(text, one, &options, &first));
  CHECK_STATUS(se_text_save(text, "another", path, NULL), SE_NOT_FOUND);
  CHECK_STATUS(se_text_save(text, NULL, "/no/such/folder/file", NULL), SE_STORAGE);
  CHECK_OK(se_text_save(text, NULL, path, &tokens));
  CHECK(tokens >= first.result.prompt_tokens);
  /* Goes on in place, and in another handle after a restore, in the same way. */
  CHECK_OK(chat(text, two, &options, &first));
  CHECK(first.result.cached_tokens > 0);
  se_text_close(text);
  text = open_model(model, 256);
  CHECK_OK(se_text_restore(text, NULL, path, &again));
  CHECK(again == tokens);
  CHECK_OK(chat(text, two, &options, &second));
  CHECK(same(&first, &second) && second.result.cached_tokens == first.result.cached_tokens);
  /* Saved again it is the same file. */
  CHECK_OK(se_text_restore(text, NULL, path, NULL));
  CHECK_OK(se_text_save(text, NULL, damaged, NULL));
  unsigned char *bytes = NULL, *other = NULL;
  size_t count = 0, other_count = 0;
  read_bytes(path, &bytes, &count);
  read_bytes(damaged, &other, &other_count);
  CHECK(count == other_count && memcmp(bytes, other, count) == 0);
  free(other);
  /* Any changed byte and any other length is found; the hash is the first thing that a bit of the content changes. */
  for (size_t i = 0; i < count; i += i < 400 || i + 100 > count ? 1 : count / 100) {
    bytes[i] ^= 0x40;
    write_bytes(damaged, bytes, count);
    const se_status status = se_text_restore(text, NULL, damaged, NULL);
    CHECK(status == SE_MODEL_CORRUPT || (i < 144 && (status == SE_FORMAT_MISMATCH || status == SE_INVALID_ARGUMENT)));
    bytes[i] ^= 0x40;
  }
  for (size_t i = 0; i < count; i += 1 + count / 20) {
    write_bytes(damaged, bytes, i);
    CHECK_STATUS(se_text_restore(text, NULL, damaged, NULL), SE_MODEL_CORRUPT);
  }
  CHECK_STATUS(se_text_restore(text, NULL, "/no/such/file", NULL), SE_NOT_FOUND);
  /* After all that the model still works. */
  CHECK_OK(chat(text, two, &options, &second));
  CHECK(same(&first, &second));
  se_text_close(text);
  se_text *small = open_model(model, (uint32_t)tokens - 1);
  CHECK_STATUS(se_text_restore(small, NULL, path, NULL), SE_INVALID_ARGUMENT);
  se_text_close(small);
  free(bytes);
  remove(path);
  remove(damaged);
}

static void drafts_change_no_answer(const char *model) {
  static const char *const prompts[] = {"the cat sat on the mat. the cat sat on the mat. the cat", "x",
                                        "What is said here is said once."};
  se_text *text = open_model(model, 0);
  for (size_t i = 0; i < sizeof(prompts) / sizeof(prompts[0]); i++) {
    se_text_generate_options options = greedy(text, 48);
    options.ignore_end_of_text = true;
    CHECK(options.draft == SE_DRAFT_OFF && options.draft_tokens == 0);
    CHECK_OK(generate(text, prompts[i], &options, &first));
    CHECK(first.result.draft_tokens == 0 && first.result.accepted_tokens == 0);
    options.draft = SE_DRAFT_PROMPT_LOOKUP;
    for (options.draft_tokens = 0; options.draft_tokens <= 31; options.draft_tokens += 5) {
      CHECK_OK(generate(text, prompts[i], &options, &second));
      CHECK(same(&first, &second));
      CHECK(second.result.completion_tokens == first.result.completion_tokens);
      CHECK(second.result.accepted_tokens <= second.result.draft_tokens);
    }
  }
  se_text_generate_options options = greedy(text, 48);
  options.grammar = "root ::= (\"the cat sat. \")+";
  options.ignore_end_of_text = true;
  CHECK_OK(generate(text, "x", &options, &first));
  options.draft = SE_DRAFT_PROMPT_LOOKUP;
  options.draft_tokens = 7;
  CHECK_OK(generate(text, "x", &options, &second));
  CHECK(same(&first, &second));
  CHECK(second.result.accepted_tokens > 4);
  options = greedy(text, 4);
  options.draft = 3;
  CHECK_STATUS(generate(text, "x", &options, &second), SE_INVALID_ARGUMENT);
  options.draft = -1;
  CHECK_STATUS(generate(text, "x", &options, &second), SE_INVALID_ARGUMENT);
  options.draft = SE_DRAFT_MODEL;
  CHECK_STATUS(generate(text, "x", &options, &second), SE_INVALID_ARGUMENT);
  options.draft = SE_DRAFT_PROMPT_LOOKUP;
  options.draft_tokens = 32;
  CHECK_STATUS(generate(text, "x", &options, &second), SE_INVALID_ARGUMENT);
  options.draft_tokens = UINT32_MAX;
  CHECK_STATUS(generate(text, "x", &options, &second), SE_INVALID_ARGUMENT);
  se_text_close(text);
}

static void a_second_model_drafts(const char *model) {
  se_text *text = open_model(model, 0);
  se_text_generate_options options = greedy(text, 32);
  options.ignore_end_of_text = true;
  CHECK_OK(generate(text, prompt, &options, &first));
  se_text_close(text);
  const se_text_open_options opening = {.size = sizeof(opening), .threads = 2, .sequences = 2, .draft_model = model};
  CHECK_OK(se_text_open(model, &opening, &text));
  CHECK_OK(se_text_default_options(text, &options, sizeof(options)));
  CHECK(options.draft == SE_DRAFT_MODEL);
  options = greedy(text, 32);
  options.ignore_end_of_text = true;
  options.draft_tokens = 5;
  for (int round = 0; round < 2; round++) {
    CHECK_OK(generate(text, prompt, &options, &second));
    CHECK(same(&first, &second));
    /* Random weights are seldom sure of anything. */
    CHECK(second.result.accepted_tokens <= second.result.draft_tokens);
  }
  se_text_generate_options loud = babbling(text, 50);
  loud.draft_tokens = 5;
  second.refuse_after = 2;
  CHECK_STATUS(generate(text, prompt, &loud, &second), SE_CANCELLED);
  second.refuse_after = 0;
  CHECK_OK(generate(text, prompt, &options, &second));
  CHECK(same(&first, &second));
  se_text_close(text);
}

static void two_handles_on_one_model_are_independent(const char *model) {
  se_text *one = open_model(model, 0);
  se_text *two = open_model(model, 64);
  const se_text_generate_options options = greedy(one, 8);
  CHECK_OK(generate(one, prompt, &options, &first));
  CHECK_OK(generate(two, prompt, &options, &second));
  CHECK(same(&first, &second));
  se_text_close(one);
  CHECK_OK(generate(two, prompt, &options, &second));
  CHECK(same(&first, &second));
  se_text_close(two);
}

static int log_lines;

static void count_line(se_log_level level, const char *message, void *user_data) {
  (void)level;
  (void)user_data;
  CHECK(message != NULL);
  log_lines++;
}

static void the_log_goes_to_its_callback(const char *model) {
  se_log_set(count_line, NULL);
  se_text_close(open_model(model, 0));
  se_log_set(NULL, NULL);
  CHECK(log_lines > 0);
}

const test_case test_cases[] = {
    {"it reports what it opened", it_reports_what_it_opened},
    {"greedy answers repeat and reuse the prompt", greedy_answers_repeat_and_reuse_the_prompt},
    {"a seed repeats an answer", a_seed_repeats_an_answer},
    {"a penalty changes what repeats", a_penalty_changes_what_repeats},
    {"pieces are whole characters", pieces_are_whole_characters},
    {"an answer ends before a stop string", an_answer_ends_before_a_stop_string},
    {"another thread cancels a call", another_thread_cancels_a_call},
    {"the callback stops a call", the_callback_stops_a_call},
    {"the callback cannot call the model", the_callback_cannot_call_the_model},
    {"closing in a callback waits for nothing", closing_in_a_callback_waits_for_nothing},
    {"time runs out", time_runs_out},
    {"a second turn prefills only what is new", a_second_turn_prefills_only_what_is_new},
    {"scores are the logarithms of the softmax", scores_are_the_logarithms_of_the_softmax},
    {"text survives tokens", text_survives_tokens},
    {"an answer obeys a grammar", an_answer_obeys_a_grammar},
    {"a full context ends the answer", a_full_context_ends_the_answer},
    {"wrong arguments are distinguished", wrong_arguments_are_distinguished},
    {"older and newer callers are understood", older_and_newer_callers_are_understood},
    {"structs of any length stay whole", structs_of_any_length_stay_whole},
    {"log probabilities are those of the model", log_probabilities_are_those_of_the_model},
    {"a bias forbids and forces tokens", a_bias_forbids_and_forces_tokens},
    {"the answer stops before a stop token", the_answer_stops_before_a_stop_token},
    {"every penalty breaks a repetition", every_penalty_breaks_a_repetition},
    {"a call is cancelled by its name", a_call_is_cancelled_by_its_name},
    {"a saved conversation goes on", a_saved_conversation_goes_on},
    {"drafts change no answer", drafts_change_no_answer},
    {"a second model drafts", a_second_model_drafts},
    {"two handles on one model are independent", two_handles_on_one_model_are_independent},
    {"the log goes to its callback", the_log_goes_to_its_callback},
    {NULL, NULL},
};
