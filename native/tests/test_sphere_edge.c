/* Tests of the C API, as a C99 program uses it.
 *
 *   sphere-edge-test cases MODEL          runs every case on a GGUF file or a compiled bundle
 *   sphere-edge-test open STATUS PATH…    opening each of these must end with this status
 *   sphere-edge-test code STATUS PATH FOLDER  the same with the compiled code in this folder
 *   sphere-edge-test describe PATH…       prints the status of se_model_info for each of these
 *   sphere-edge-test survive PATH…        opening and using each of these may fail, but only with our own errors
 *   sphere-edge-test images MODEL MMPROJ  runs the cases of chats with images
 *   sphere-edge-test encoders MODEL MMPROJ…  as `survive`, with each of these image encoders
 */
#include <string.h>

#include "calls.h"
#include "cases.h"
#include "check.h"
#include "image_cases.h"

/* The engines are not instrumented, so what they append to a container looks foreign to the sanitizer. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_container_overflow=0"; }

static answer survivor;

static void run_cases(const char *model) {
  int count = 0;
  for (const test_case *one = test_cases; one->name != NULL; one++) {
    printf("%s\n", one->name);
    fflush(stdout);
    one->run(model);
    count++;
  }
  printf("%d cases passed\n", count);
}

static void open_with(int status, const char *path) {
  se_text *text = NULL;
  CHECK_STATUS(se_text_open(path, NULL, &text), status);
  if (status == SE_OK) {
    se_text_close(text);
  } else {
    CHECK(text == NULL && strlen(se_last_error()) > 0);
  }
}

static void open_with_code(int status, const char *path, const char *code_folder) {
  se_text_open_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.code_folder = code_folder;
  se_text *text = NULL;
  CHECK_STATUS(se_text_open(path, &options, &text), status);
  if (status != SE_OK) {
    puts(se_last_error());
    return;
  }
  const se_text_generate_options few = greedy(text, 3);
  CHECK_OK(generate(text, "Hello", &few, &survivor));
  se_text_close(text);
}

static void describe(const char *path) {
  char *json = NULL;
  const se_status status = se_model_info(path, &json);
  printf("%s %s\n", se_status_name(status), se_last_error());
  se_string_free(json);
}

static void survive(const char *path) {
  se_text_open_options options;
  memset(&options, 0, sizeof(options));
  options.size = sizeof(options);
  options.threads = 1;
  options.context_tokens = 32;
  se_text *text = NULL;
  const se_status opened = se_text_open(path, &options, &text);
  if (opened != SE_OK) {
    printf("%s: %s: %s\n", path, se_status_name(opened), se_last_error());
    return;
  }
  const se_text_generate_options few = greedy(text, 3);
  printf("%s: opened, generates: %s\n", path, se_status_name(generate(text, "Hello", &few, &survivor)));
  se_text_close(text);
}

int main(int count, char **words) {
  if (count == 3 && strcmp(words[1], "cases") == 0) {
    run_cases(words[2]);
  } else if (count > 3 && strcmp(words[1], "open") == 0) {
    for (int i = 3; i < count; i++) open_with(atoi(words[2]), words[i]);
  } else if (count == 5 && strcmp(words[1], "code") == 0) {
    open_with_code(atoi(words[2]), words[3], words[4]);
  } else if (count > 2 && strcmp(words[1], "describe") == 0) {
    for (int i = 2; i < count; i++) describe(words[i]);
  } else if (count > 2 && strcmp(words[1], "survive") == 0) {
    for (int i = 2; i < count; i++) survive(words[i]);
  } else if (count == 4 && strcmp(words[1], "images") == 0) {
    run_image_cases(words[2], words[3]);
  } else if (count > 3 && strcmp(words[1], "encoders") == 0) {
    for (int i = 3; i < count; i++) survive_encoder(words[2], words[i]);
  } else {
    fprintf(stderr,
            "usage: sphere-edge-test cases MODEL | open STATUS PATH… | code STATUS PATH FOLDER | describe PATH… | "
            "survive PATH… | images MODEL MMPROJ | encoders MODEL MMPROJ…\n");
    return 64;
  }
  return 0;
}
