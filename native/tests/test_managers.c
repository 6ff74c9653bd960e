/* Text, speech and images at once in one process: each manager gives the same output as alone.
 *
 *   managers-test TEXT-MODEL SPEECH-MODEL IMAGE-BUNDLE
 *
 * Made for ThreadSanitizer: three threads, one for each manager, share nothing but the library. */
#include <pthread.h>
#include <sphere_edge.h>
#include <string.h>

#include "check.h"

#define SAMPLES SE_AUDIO_SAMPLE_RATE
#define ROUNDS 3

typedef struct output {
  uint64_t sum; /* checksum, for comparing two outputs */
  size_t bytes;
} output;

static void add(output *out, const void *bytes, size_t count) {
  const unsigned char *from = bytes;
  for (size_t i = 0; i < count; i++) out->sum = (out->sum ^ from[i]) * UINT64_C(0x100000001b3);
  out->bytes += count;
}

static bool take_delta(const se_text_delta *delta, void *out) {
  add(out, delta->text, delta->text_bytes);
  return true;
}

static bool take_segment(const se_audio_segment *segment, void *out) {
  add(out, segment->text, strlen(segment->text));
  return true;
}

static bool take_bitmap(const se_image_bitmap *bitmap, void *out) {
  add(out, bitmap->pixels, (size_t)bitmap->width * bitmap->height * bitmap->channels);
  return true;
}

static void generate(void *text, output *out) {
  se_text_generate_options options;
  CHECK_OK(se_text_default_options(text, &options, sizeof(options)));
  options.max_tokens = 24;
  options.temperature = 0;
  CHECK_OK(se_text_generate(text, "the", &options, take_delta, out, NULL));
}

static void transcribe(void *audio, output *out) {
  uint32_t state = 1;
  float samples[SAMPLES];
  for (size_t i = 0; i < SAMPLES; i++) {
    state = state * 1664525u + 1013904223u;
    samples[i] = (float)(int32_t)state / 2147483648.0f * 0.1f;
  }
  se_audio_transcribe_options options;
  CHECK_OK(se_audio_default_options(&options, sizeof(options)));
  options.language = "en";
  options.temperature_step = 0;
  CHECK_OK(se_audio_transcribe(audio, samples, SAMPLES, &options, take_segment, out, NULL));
}

static void generate_image(void *image, output *out) {
  se_image_generate_options options;
  CHECK_OK(se_image_default_options(image, &options, sizeof(options)));
  options.width = options.height = 64;
  options.steps = 1;
  options.seed = 5;
  CHECK_OK(se_image_generate(image, "a fox", &options, take_bitmap, out, NULL));
}

typedef struct worker {
  void (*work)(void *manager, output *out);
  void *manager;
  output alone;
  output together[ROUNDS];
} worker;

static void *repeat(void *argument) {
  worker *one = argument;
  for (int i = 0; i < ROUNDS; i++) one->work(one->manager, &one->together[i]);
  return NULL;
}

int main(int count, char **words) {
  CHECK(count == 4);
  const se_text_open_options text_options = {.size = sizeof(text_options), .threads = 2};
  const se_audio_open_options audio_options = {.size = sizeof(audio_options), .threads = 2};
  const se_image_open_options image_options = {.size = sizeof(image_options), .threads = 2};
  se_text *text = NULL;
  se_audio *audio = NULL;
  se_image *image = NULL;
  CHECK_OK(se_text_open(words[1], &text_options, &text));
  CHECK_OK(se_audio_open(words[2], &audio_options, &audio));
  CHECK_OK(se_image_open(words[3], &image_options, &image));
  worker workers[3] = {{.work = generate, .manager = text},
                       {.work = transcribe, .manager = audio},
                       {.work = generate_image, .manager = image}};
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) workers[i].work(workers[i].manager, &workers[i].alone);
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, repeat, &workers[i]) == 0);
  for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  for (int i = 0; i < 3; i++) {
    CHECK(workers[i].alone.bytes > 0);
    for (int j = 0; j < ROUNDS; j++) {
      CHECK(workers[i].together[j].sum == workers[i].alone.sum);
      CHECK(workers[i].together[j].bytes == workers[i].alone.bytes);
    }
  }
  se_text_close(text);
  se_audio_close(audio);
  se_image_close(image);
  puts("three managers at once give the same output as alone");
  return 0;
}
