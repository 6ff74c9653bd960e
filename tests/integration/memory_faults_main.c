/* The n-th allocation of a call fails, for each n: the call ends in a status, and the next one is right.
 *
 *   memory-faults MODEL WORK MODE FIRST LAST
 *
 * MODEL: a GGUF, a bundle or a Whisper file. WORK: one of the table below. MODE: `once`, where only the n-th allocation
 * fails, or `all`, where every one from the n-th on does. Each n has a process of its own. Prints `n what` for each n,
 * where what is `right`, the name of a status, `signal N`, or what was wrong; ends at the first n beyond the last
 * allocation. With SE_TRACE_FAULT each process prints the place of its failing allocation to stderr. */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <sphere_edge.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Only against a hang: nothing here takes a thousandth of it. */
#define HANGS_AFTER_S 600
#define MOST_OUTPUT 65536
#define SAMPLES (SE_AUDIO_SAMPLE_RATE / 2)

/* ---- malloc and its kin, which glibc lets a program replace ---- */

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *memory);

static atomic_long left = -1; /* allocations until the one that fails; below 0: none will */
static atomic_bool is_armed, all_fail, traces;
static atomic_long failed, live;

static bool fails(void) {
  if (!is_armed) return false;
  const long before = atomic_fetch_sub(&left, 1);
  if (before != 0 && !(before < 0 && all_fail)) return false;
  if (atomic_fetch_add(&failed, 1) == 0 && traces) {
    is_armed = false;
    void *frames[48];
    backtrace_symbols_fd(frames, backtrace(frames, 48), 2);
    is_armed = true;
  }
  errno = ENOMEM;
  return true;
}

static void *counted(void *memory) {
  if (memory != NULL) atomic_fetch_add(&live, 1);
  return memory;
}

void *malloc(size_t bytes) { return fails() ? NULL : counted(__libc_malloc(bytes)); }
void *calloc(size_t count, size_t bytes) { return fails() ? NULL : counted(__libc_calloc(count, bytes)); }
void *memalign(size_t alignment, size_t bytes) { return fails() ? NULL : counted(__libc_memalign(alignment, bytes)); }
void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **out, size_t alignment, size_t bytes) {
  void *memory = memalign(alignment, bytes);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}

void *realloc(void *memory, size_t bytes) {
  if (memory == NULL) return malloc(bytes);
  return fails() ? NULL : __libc_realloc(memory, bytes);
}

void free(void *memory) {
  if (memory != NULL) atomic_fetch_sub(&live, 1);
  __libc_free(memory);
}

static void arm(long n, bool all) {
  failed = 0;
  all_fail = all;
  left = n;
  is_armed = true;
}

static void disarm(void) { is_armed = false; }

/* ---- what is done with a model ---- */

typedef struct output {
  char bytes[MOST_OUTPUT];
  size_t count;
} output;

static bool add(output *out, const void *bytes, size_t count) {
  if (out->count + count > sizeof(out->bytes)) return false;
  memcpy(out->bytes + out->count, bytes, count);
  out->count += count;
  return true;
}

static bool take_delta(const se_text_delta *delta, void *out) { return add(out, delta->text, delta->text_bytes); }
static bool take_segment(const se_audio_segment *one, void *out) { return add(out, one->text, strlen(one->text)); }

static se_status open_text(const char *path, void **out) {
  const se_text_open_options options = {.size = sizeof(options), .threads = 1, .context_tokens = 256};
  return se_text_open(path, &options, (se_text **)out);
}

static void close_text(void *text) { se_text_close(text); }

static se_status open_audio(const char *path, void **out) {
  const se_audio_open_options options = {.size = sizeof(options), .threads = 1};
  return se_audio_open(path, &options, (se_audio **)out);
}

static void close_audio(void *audio) { se_audio_close(audio); }

static se_status nothing(void *model, output *out) {
  (void)model, (void)out;
  return SE_OK;
}

static se_status answer(void *text, const char *grammar, const char *schema, output *out) {
  se_text_generate_options options;
  const se_status status = se_text_default_options(text, &options, sizeof(options));
  if (status != SE_OK) return status;
  options.max_tokens = 6;
  options.temperature = 0;
  options.grammar = grammar;
  options.json_schema = schema;
  return se_text_generate(text, "What is the capital of France?", &options, take_delta, out, NULL);
}

static se_status generate(void *text, output *out) { return answer(text, "root ::= [a-z ]+ \"!\"", NULL, out); }

static se_status follow_schema(void *text, output *out) {
  const char *schema = "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]}";
  return answer(text, NULL, schema, out);
}

static se_status chat(void *text, output *out) {
  se_text_generate_options options;
  const se_status status = se_text_default_options(text, &options, sizeof(options));
  if (status != SE_OK) return status;
  options.max_tokens = 6;
  options.temperature = 0;
  const char *messages = "[{\"role\":\"user\",\"content\":\"What is the capital of France?\"}]";
  return se_text_chat(text, messages, &options, take_delta, out, NULL);
}

static se_status embed(void *text, output *out) {
  static float vector[4096];
  const char *texts[] = {"What is the capital of France?"};
  const se_status status = se_text_embed(text, texts, 1, NULL, vector, 4096, NULL);
  if (status == SE_OK) add(out, vector, 64 * sizeof(float));
  return status;
}

static se_status tokenize(void *text, output *out) {
  int32_t ids[256];
  size_t count = 0;
  const char *words = "What is the capital of France? \xc3\xa4\xe2\x82\xac";
  const se_status status = se_text_tokenize(text, words, strlen(words), true, true, ids, 256, &count);
  if (status == SE_OK) add(out, ids, count * sizeof(int32_t));
  return status;
}

static se_status transcribe(void *audio, output *out) {
  float samples[SAMPLES];
  uint32_t state = 1;
  for (size_t i = 0; i < SAMPLES; i++) {
    state = state * 1664525u + 1013904223u;
    samples[i] = (float)(int32_t)state / 2147483648.0f * 0.1f;
  }
  se_audio_transcribe_options options;
  const se_status status = se_audio_default_options(&options, sizeof(options));
  if (status != SE_OK) return status;
  options.language = "en";
  options.temperature_step = 0;
  return se_audio_transcribe(audio, samples, SAMPLES, &options, take_segment, out, NULL);
}

typedef struct work {
  const char *name;
  se_status (*open)(const char *path, void **out);
  se_status (*call)(void *model, output *out);
  void (*close)(void *model);
  bool opening_fails; /* opening counts as well, and closing */
} work;

static const work kWorks[] = {
    {"open", open_text, nothing, close_text, true},          {"generate", open_text, generate, close_text, false},
    {"schema", open_text, follow_schema, close_text, false}, {"chat", open_text, chat, close_text, false},
    {"embed", open_text, embed, close_text, false},          {"tokenize", open_text, tokenize, close_text, false},
    {"open-audio", open_audio, nothing, close_audio, true},  {"transcribe", open_audio, transcribe, close_audio, false},
};

/* ---- one process for each n ---- */

typedef struct run {
  const work *work;
  const char *model;
  bool all;
} run;

static output wanted, got;

static void say(const char *text) {
  if (write(1, text, strlen(text)) < 0) _exit(3);
}

/* The call as it is without a fault. */
static bool is_right(const run *one, void *model) {
  got.count = 0;
  if (one->work->call(model, &got) != SE_OK) return false;
  return got.count == wanted.count && memcmp(got.bytes, wanted.bytes, wanted.count) == 0;
}

static bool opens_and_is_right(const run *one) {
  void *model = NULL;
  if (one->work->open(one->model, &model) != SE_OK) return false;
  const bool right = is_right(one, model);
  one->work->close(model);
  return right;
}

/* With the n-th allocation failing; what is wrong with what came of it, or NULL. */
static const char *fault(const run *one, long n, se_status *status, bool *reached) {
  void *model = NULL;
  got.count = 0;
  const bool opening_fails = one->work->opening_fails;
  if (opening_fails) arm(n, one->all);
  *status = one->work->open(one->model, &model);
  if (!opening_fails) arm(n, one->all);
  if (*status == SE_OK) *status = one->work->call(model, &got);
  if (opening_fails) {
    one->work->close(model);
    model = NULL;
  }
  disarm();
  *reached = failed > 0;
  const bool right = got.count == wanted.count && memcmp(got.bytes, wanted.bytes, wanted.count) == 0;
  if (*status == SE_OK && !right) return "wrong answer";
  if (model != NULL) {
    if (!is_right(one, model)) return "wrong answer to the next call";
    one->work->close(model);
  }
  return opens_and_is_right(one) ? NULL : "wrong answer after opening again";
}

static void judge(const run *one, long n) {
  se_status status = SE_OK, again = SE_OK;
  bool reached = false, reached_again = false;
  const char *wrong = fault(one, n, &status, &reached);
  if (wrong != NULL) return say(wrong);
  if (!reached) return say("not reached");
  /* What the first fault keeps, as its message, is no leak of the second. */
  traces = false;
  const long before = live;
  wrong = fault(one, n, &again, &reached_again);
  if (wrong != NULL) return say(wrong);
  if (reached_again && live > before) return say("leak");
  say(status == SE_OK ? "right" : se_status_name(status));
}

/* What the process of this n said, or its signal. */
static void outcome(const run *one, long n, char *text, size_t bytes) {
  int ends[2];
  if (pipe(ends) != 0) exit(3);
  fflush(stdout);
  const pid_t child = fork();
  if (child < 0) exit(3);
  if (child == 0) {
    dup2(ends[1], 1);
    close(ends[0]);
    close(ends[1]);
    alarm(HANGS_AFTER_S);
    judge(one, n);
    _exit(0);
  }
  close(ends[1]);
  size_t count = 0;
  ssize_t more;
  while (count + 1 < bytes && (more = read(ends[0], text + count, bytes - 1 - count)) > 0) count += (size_t)more;
  text[count] = '\0';
  close(ends[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child) exit(3);
  if (WIFSIGNALED(status)) snprintf(text, bytes, "signal %d", WTERMSIG(status));
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) snprintf(text, bytes, "exit %d", WEXITSTATUS(status));
}

int main(int count, char **words) {
  if (count != 6) return 2;
  run one = {NULL, words[1], strcmp(words[3], "all") == 0};
  for (size_t i = 0; i < sizeof(kWorks) / sizeof(kWorks[0]); i++) {
    if (strcmp(kWorks[i].name, words[2]) == 0) one.work = &kWorks[i];
  }
  if (one.work == NULL) return 2;
  traces = getenv("SE_TRACE_FAULT") != NULL;
  void *frames[1];
  backtrace(frames, 1); /* loads what it needs */
  /* Twice: what the first call keeps for the process is no leak of the second. */
  void *model = NULL;
  for (int i = 0; i < 2; i++) {
    wanted.count = 0;
    if (one.work->open(one.model, &model) != SE_OK || one.work->call(model, &wanted) != SE_OK) {
      fprintf(stderr, "%s\n", se_last_error());
      return 3;
    }
    one.work->close(model);
  }
  const long last = atol(words[5]);
  for (long n = atol(words[4]); n <= last; n++) {
    char text[128];
    outcome(&one, n, text, sizeof(text));
    if (strcmp(text, "not reached") == 0) break;
    printf("%ld %s\n", n, text);
  }
  return 0;
}
