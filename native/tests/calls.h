/* Calls that many cases make: open, generate into a buffer, compare. */
#ifndef SE_TESTS_CALLS_H
#define SE_TESTS_CALLS_H

#include <sphere_edge.h>

#define ANSWER_BYTES (1 << 16)
#define MOST_LOGPROBS 64

/* The output of a call. `valid_utf8` is about every single piece. */
typedef struct answer {
  char text[ANSWER_BYTES];
  size_t bytes;
  size_t pieces;
  size_t refuse_after; /* the callback returns false at this piece; 0: never */
  bool valid_utf8;
  size_t logprobs; /* with the option logprobs: the tokens, their log probabilities and those of the likeliest ones */
  int32_t token_ids[MOST_LOGPROBS];
  float logprob[MOST_LOGPROBS];
  float top_logprob[MOST_LOGPROBS];
  se_text_result result;
} answer;

/* The callback that fills an answer. */
bool collect(const se_text_delta *delta, void *user_data);

se_text *open_model(const char *path, uint32_t context_tokens);

/* Greedy, at most `max_tokens`. */
se_text_generate_options greedy(se_text *text, uint32_t max_tokens);

/* Many different tokens, the same ones each time, whatever the model would rather do. */
se_text_generate_options babbling(se_text *text, uint32_t max_tokens);

se_status generate(se_text *text, const char *prompt, const se_text_generate_options *options, answer *out);
se_status chat(se_text *text, const char *messages, const se_text_generate_options *options, answer *out);

/* Whether two outputs are the same bytes; a model may generate NUL. */
bool same(const answer *one, const answer *other);

/* Whether these bytes are whole, well-formed UTF-8 characters. */
bool is_utf8(const char *bytes, size_t count);

#endif
