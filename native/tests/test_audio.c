/* Tests of se_audio_*, as a C99 program uses it.
 *
 *   audio-test cases MODEL DETECTOR      runs every case on a whisper.cpp file and a Silero VAD
 *   audio-test survive MODEL PATH…       each of these is opened as a model, and as a detector beside MODEL; that may
 *                                        fail, but only with our own errors
 */
#include <math.h>
#include <pthread.h>
#include <sphere_edge.h>
#include <string.h>

#include "check.h"

#define SAMPLES (3 * SE_AUDIO_SAMPLE_RATE)

/* The engines are not instrumented, so what they append to a container looks foreign to the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_container_overflow=0"; }

static float noise[SAMPLES];
static float silence[SAMPLES];

typedef struct transcript {
  char text[8192];
  int segments;
  int finals;
  int64_t last_end_ms;
  bool refuse;
} transcript;

static bool take(const se_audio_segment *segment, void *user_data) {
  transcript *out = user_data;
  CHECK(strlen(out->text) + strlen(segment->text) < sizeof(out->text));
  strcat(out->text, segment->text);
  out->segments++;
  CHECK(segment->start_ms >= 0 && segment->end_ms >= segment->start_ms);
  for (size_t i = 0; i < segment->token_count; i++) {
    CHECK(segment->tokens[i].id >= 0 && segment->tokens[i].probability >= 0 && segment->tokens[i].probability <= 1);
  }
  if (segment->words != NULL) {
    char words[sizeof(out->text)] = "";
    for (size_t i = 0; i < segment->word_count; i++) strcat(words, segment->words[i].text);
    CHECK(strcmp(words, segment->text) == 0);
  }
  return !out->refuse;
}

static bool take_live(const se_audio_segment *segment, bool is_final, void *user_data) {
  transcript *out = user_data;
  CHECK(segment->start_ms >= out->last_end_ms - 1);
  if (is_final) {
    out->finals++;
    out->last_end_ms = segment->start_ms;
  }
  return take(segment, user_data);
}

static se_audio *open_audio(const char *model, const char *detector) {
  const se_audio_open_options options = {.size = sizeof(options), .vad_model = detector, .threads = 2};
  se_audio *audio = NULL;
  CHECK_OK(se_audio_open(model, &options, &audio));
  return audio;
}

static se_audio_transcribe_options plain(void) {
  se_audio_transcribe_options options;
  CHECK_OK(se_audio_default_options(&options, sizeof(options)));
  options.language = "en";
  options.temperature_step = 0;
  return options;
}

static void transcribe(se_audio *audio, const float *samples, const se_audio_transcribe_options *options,
                       transcript *out) {
  memset(out, 0, sizeof(*out));
  CHECK_OK(se_audio_transcribe(audio, samples, SAMPLES, options, take, out, NULL));
}

static void the_same_audio_sounds_the_same(se_audio *audio) {
  transcript one;
  transcript other;
  se_audio_transcribe_options options = plain();
  transcribe(audio, noise, &options, &one);
  options.word_timestamps = true;
  transcribe(audio, noise, &options, &other);
  CHECK(strcmp(one.text, other.text) == 0);
  options.max_segment_characters = 10;
  transcribe(audio, noise, &options, &other);
  CHECK(other.segments >= one.segments);
  options.beam_size = 3;
  transcribe(audio, noise, &options, &other);
}

static void nobody_speaks_in_silence(se_audio *audio) {
  transcript out;
  se_audio_transcribe_options options = plain();
  options.vad = true;
  transcribe(audio, silence, &options, &out);
  CHECK(out.segments == 0);
  /* What the detector left behind does not shift the times of the next call. */
  options.vad = false;
  transcribe(audio, noise, &options, &out);
}

static void *cancel_it(void *audio) {
  se_audio_cancel(audio);
  return NULL;
}

static bool cancel_elsewhere(const se_audio_segment *segment, void *audio) {
  (void)segment;
  pthread_t canceller;
  CHECK(pthread_create(&canceller, NULL, cancel_it, audio) == 0);
  CHECK(pthread_join(canceller, NULL) == 0);
  return true;
}

static void a_call_is_stopped_from_anywhere(se_audio *audio) {
  se_audio_transcribe_options options = plain();
  se_audio_result result;
  memset(&result, 0, sizeof(result));
  result.size = sizeof(result);
  CHECK_STATUS(se_audio_transcribe(audio, noise, SAMPLES, &options, cancel_elsewhere, audio, &result), SE_CANCELLED);
  CHECK(result.segments > 0);
  transcript out = {"", 0, 0, 0, true};
  CHECK_STATUS(se_audio_transcribe(audio, noise, SAMPLES, &options, take, &out, NULL), SE_CANCELLED);
  options.timeout_ms = 1;
  CHECK_STATUS(se_audio_transcribe(audio, noise, SAMPLES, &options, NULL, NULL, NULL), SE_TIMEOUT);
}

static bool stop_at_once(float done, void *user_data) {
  CHECK(done >= 0 && done <= 1);
  ++*(int *)user_data;
  return false;
}

static void progress_stops_a_call(se_audio *audio) {
  se_audio_transcribe_options options = plain();
  int calls = 0;
  options.on_progress = stop_at_once;
  CHECK_STATUS(se_audio_transcribe(audio, noise, SAMPLES, &options, NULL, &calls, NULL), SE_CANCELLED);
  CHECK(calls == 1);
  /* Also while the language is auto-detected. */
  options.language = NULL;
  CHECK_STATUS(se_audio_transcribe(audio, noise, SAMPLES, &options, NULL, &calls, NULL), SE_CANCELLED);
  CHECK(calls == 2);
}

static void what_cannot_be_is_refused(const char *model, se_audio *audio) {
  se_audio_transcribe_options options = plain();
  float wrong[4] = {0, NAN, 0, 0};
  CHECK_STATUS(se_audio_transcribe(audio, NULL, 1, &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_audio_transcribe(audio, wrong, 0, &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_audio_transcribe(audio, wrong, 4, &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_audio_transcribe(NULL, noise, SAMPLES, &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  options.max_segment_characters = 1 << 30;
  CHECK_STATUS(se_audio_transcribe(audio, noise, SAMPLES, &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  options = plain();
  options.vad = true;
  se_audio *deaf = open_audio(model, NULL);
  CHECK_STATUS(se_audio_transcribe(deaf, noise, SAMPLES, &options, NULL, NULL, NULL), SE_INVALID_ARGUMENT);
  se_audio_close(deaf);
  se_audio_stream_options live;
  CHECK_OK(se_audio_stream_default_options(&live, sizeof(live)));
  live.step_ms = 0;
  se_audio_stream *stream = NULL;
  CHECK_STATUS(se_audio_stream_open(audio, &live, take_live, NULL, &stream), SE_INVALID_ARGUMENT);
  CHECK_STATUS(se_audio_stream_open(audio, NULL, NULL, NULL, &stream), SE_INVALID_ARGUMENT);
  CHECK(stream == NULL);
  CHECK_STATUS(se_audio_stream_push(NULL, noise, 1), SE_INVALID_ARGUMENT);
  se_audio_stream_close(NULL);
}

static void live_audio_becomes_final(se_audio *audio) {
  const se_audio_transcribe_options options = plain();
  se_audio_stream_options live;
  CHECK_OK(se_audio_stream_default_options(&live, sizeof(live)));
  live.longest_ms = 2000;
  live.transcribe = &options;
  transcript out;
  memset(&out, 0, sizeof(out));
  se_audio_stream *stream = NULL;
  CHECK_OK(se_audio_stream_open(audio, &live, take_live, &out, &stream));
  float wrong = INFINITY;
  CHECK_STATUS(se_audio_stream_push(stream, &wrong, 1), SE_INVALID_ARGUMENT);
  for (int i = 0; i < SAMPLES; i += 4000) CHECK_OK(se_audio_stream_push(stream, noise + i, 4000));
  CHECK(out.segments > 0);
  CHECK_OK(se_audio_stream_finish(stream));
  CHECK(out.finals > 0);
  /* It begins anew. */
  memset(&out, 0, sizeof(out));
  CHECK_OK(se_audio_stream_push(stream, noise, 100));
  CHECK(out.segments == 0);
  CHECK_OK(se_audio_stream_finish(stream));
  memset(&out, 0, sizeof(out));
  out.refuse = true;
  CHECK_STATUS(se_audio_stream_push(stream, noise, SAMPLES), SE_CANCELLED);
  se_audio_stream_close(stream);
}

static void run_cases(const char *model, const char *detector) {
  se_audio *audio = open_audio(model, detector);
  the_same_audio_sounds_the_same(audio);
  nobody_speaks_in_silence(audio);
  a_call_is_stopped_from_anywhere(audio);
  progress_stops_a_call(audio);
  what_cannot_be_is_refused(model, audio);
  live_audio_becomes_final(audio);
  se_audio_close(audio);
  printf("6 cases passed\n");
}

static void survive(const char *path, const char *model, const char *detector) {
  const se_audio_open_options options = {.size = sizeof(options), .vad_model = detector, .threads = 1};
  se_audio *audio = NULL;
  const se_status opened = se_audio_open(model, &options, &audio);
  printf("%s: %s: %s\n", path, se_status_name(opened), opened == SE_OK ? "" : se_last_error());
  if (opened != SE_OK) return;
  se_audio_transcribe_options plain_options = plain();
  plain_options.vad = detector != NULL;
  printf("%s: %s\n", path,
         se_status_name(se_audio_transcribe(audio, noise, SAMPLES / 3, &plain_options, NULL, NULL, NULL)));
  se_audio_close(audio);
}

int main(int count, char **words) {
  uint32_t state = 1;
  for (int i = 0; i < SAMPLES; i++) {
    state = state * 1664525U + 1013904223U; /* Numerical Recipes */
    noise[i] = ((float)(state >> 8) / (float)(1 << 24) - 0.5F) * 0.3F;
  }
  if (count == 4 && strcmp(words[1], "cases") == 0) {
    run_cases(words[2], words[3]);
  } else if (count > 3 && strcmp(words[1], "survive") == 0) {
    for (int i = 3; i < count; i++) {
      survive(words[i], words[i], NULL);
      survive(words[i], words[2], words[i]);
    }
  } else {
    fprintf(stderr, "usage: audio-test cases MODEL DETECTOR | survive MODEL PATH…\n");
    return 64;
  }
  return 0;
}
