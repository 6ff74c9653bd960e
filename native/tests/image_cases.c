/* Images lie in memory that ends behind their last pixel, so that a sanitizer sees each byte that is read too much. */
#include "image_cases.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "check.h"

#define IMAGE "{\"type\": \"image\"}"
#define TEXT(text) "{\"type\": \"text\", \"text\": \"" text "\"}"
#define SAID_BY_USER(parts) "[{\"role\": \"user\", \"content\": [" parts "]}]"

static const char *const shown = SAID_BY_USER(IMAGE ", " TEXT("What is this?"));

static answer first;
static answer second;

static se_chat_image painted(uint32_t width, uint32_t height, unsigned seed) {
  const size_t bytes = (size_t)width * height * 3;
  uint8_t *pixels = malloc(bytes);
  CHECK(pixels != NULL);
  for (size_t i = 0; i < bytes; i++) pixels[i] = (uint8_t)((i / 7 + seed * 31) * 37);
  const se_chat_image image = {pixels, width, height};
  return image;
}

static void erase(se_chat_image *image) {
  free((void *)image->pixels);
  image->pixels = NULL;
}

static se_text *open_with(const char *model, const char *mmproj, se_status *status) {
  se_text_open_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.mmproj = mmproj;
  options.threads = 2;
  se_text *text = NULL;
  *status = se_text_open(model, &options, &text);
  return text;
}

static se_status chat_with(se_text *text, const char *messages, const se_chat_image *images, size_t count,
                           answer *out) {
  se_text_generate_options options = greedy(text, 6);
  options.images = images;
  options.image_count = count;
  return chat(text, messages, &options, out);
}

static void an_image_is_a_cached_prefix(se_text *text) {
  se_chat_image one = painted(90, 60, 1), other = painted(90, 60, 2);
  CHECK_OK(chat_with(text, shown, &one, 1, &first));
  CHECK_OK(chat_with(text, shown, &one, 1, &second));
  CHECK(second.result.cached_tokens > 0 && same(&first, &second));
  const uint32_t cached = second.result.cached_tokens;
  CHECK_OK(chat_with(text, shown, &other, 1, &second));
  CHECK(second.result.cached_tokens < cached);
  erase(&one);
  erase(&other);
}

static void images_of_every_shape_are_read(se_text *text) {
  static const uint32_t sizes[][2] = {{1, 1}, {1, 300}, {300, 1}, {2, 3}, {57, 55}, {640, 11}, {1031, 517}};
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    se_chat_image image = painted(sizes[i][0], sizes[i][1], 3);
    CHECK_OK(chat_with(text, shown, &image, 1, &first));
    erase(&image);
  }
}

static void texts_and_images_take_turns(se_text *text) {
  static const char *const messages =
      SAID_BY_USER(TEXT("<__media__> <image>") ", " IMAGE ", " TEXT("\\u00e9 and") ", " IMAGE ", " IMAGE);
  se_chat_image images[] = {painted(30, 40, 1), painted(31, 20, 2), painted(30, 40, 1)};
  CHECK_OK(chat_with(text, messages, images, 3, &first));
  size_t tokens = 0;
  se_text_generate_options options = greedy(text, 1);
  options.images = images;
  options.image_count = 3;
  CHECK_OK(se_text_count_chat(text, messages, &options, &tokens));
  CHECK(tokens == first.result.prompt_tokens);
  char *prompt = NULL;
  CHECK_OK(se_text_render_chat(text, messages, &prompt));
  CHECK(strstr(prompt, "<__media__>") != NULL);
  se_string_free(prompt);
  for (size_t i = 0; i < 3; i++) erase(&images[i]);
}

static void wrong_images_are_refused(se_text *text) {
  se_chat_image image = painted(4, 4, 1);
  CHECK_STATUS(chat_with(text, shown, NULL, 0, &first), SE_INVALID_ARGUMENT);
  const se_chat_image two[] = {image, image};
  CHECK_STATUS(chat_with(text, shown, two, 2, &first), SE_INVALID_ARGUMENT);
  const se_chat_image wrong[] = {{NULL, 4, 4},
                                 {image.pixels, 0, 4},
                                 {image.pixels, 4, 0},
                                 {image.pixels, 1 << 15, 1},
                                 {image.pixels, UINT32_MAX, UINT32_MAX}};
  for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
    CHECK_STATUS(chat_with(text, shown, &wrong[i], 1, &first), SE_INVALID_ARGUMENT);
  }
  CHECK_OK(chat_with(text, shown, &image, 1, &first));
  CHECK_STATUS(se_text_save(text, NULL, "never-written", NULL), SE_UNSUPPORTED);
  erase(&image);
}

static bool refuse(const se_text_delta *delta, void *user_data) {
  (void)delta;
  (void)user_data;
  return false;
}

static void *cancel_often(void *text) {
  for (int i = 0; i < 2000; i++) se_text_cancel(text);
  return NULL;
}

static void a_chat_with_images_is_stopped(se_text *text) {
  se_chat_image image = painted(200, 200, 5);
  se_text_generate_options options = greedy(text, 20);
  options.images = &image;
  options.image_count = 1;
  CHECK_STATUS(se_text_chat(text, shown, &options, refuse, NULL, NULL), SE_CANCELLED);
  for (int i = 0; i < 5; i++) {
    CHECK_OK(se_text_reset(text));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, cancel_often, text) == 0);
    const se_status status = chat_with(text, shown, &image, 1, &first);
    CHECK(status == SE_OK || status == SE_CANCELLED);
    CHECK(pthread_join(thread, NULL) == 0);
  }
  CHECK_OK(chat_with(text, shown, &image, 1, &first));
  erase(&image);
}

void run_image_cases(const char *model, const char *mmproj) {
  se_status status;
  se_text *text = open_with(model, mmproj, &status);
  CHECK_OK(status);
  an_image_is_a_cached_prefix(text);
  images_of_every_shape_are_read(text);
  texts_and_images_take_turns(text);
  wrong_images_are_refused(text);
  a_chat_with_images_is_stopped(text);
  se_text_close(text);
  text = open_model(model, 0);
  se_chat_image image = painted(4, 4, 1);
  CHECK_STATUS(chat_with(text, shown, &image, 1, &first), SE_UNSUPPORTED);
  erase(&image);
  se_text_close(text);
  puts("image cases passed");
}

void survive_encoder(const char *model, const char *mmproj) {
  se_status status;
  se_text *text = open_with(model, mmproj, &status);
  printf("%s: %s\n", mmproj, se_status_name(status));
  if (text == NULL) return;
  se_chat_image image = painted(90, 60, 1);
  const se_status chatted = chat_with(text, shown, &image, 1, &first);
  printf("%s: chats: %s: %s\n", mmproj, se_status_name(chatted), chatted == SE_OK ? "" : se_last_error());
  erase(&image);
  se_text_close(text);
}
