// Metal and Objective-C's runtime without an Apple machine: objects that count themselves, one kernel, and faults.
//
// Holds callers to the rules of Metal's documentation: encoders end before their command buffer is committed, work is
// done when that happens and not before, nothing is used after its last reference.
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_BYTES = 1 << 20, MOST_THREADS = 64, MOST_STEPS = 64, NAME = 512, FAILED = 5, COMPLETED = 4 };

struct size {
  uint64_t width, height, depth;
};
struct step {
  struct object *from, *to;
  uint64_t from_offset, to_offset, bytes, threads;
  uint64_t numbers[4];
};
struct object {
  char kind[NAME], text[NAME];
  long references;
  bool is_pooled, is_open;
  char *bytes;
  uint64_t length, status;
  struct object *part, *bound;
  uint64_t numbers[4];
  struct step steps[MOST_STEPS];
  int count;
};
// An integer or a pointer comes back in one register, a floating-point number in another.
struct answer {
  uint64_t number;
  double real;
};

static long alive, compiled, from_archive, committed;

static _Noreturn void broken(const char *rule) {
  fprintf(stderr, "broken: %s\n", rule);
  exit(99);
}

__attribute__((destructor)) static void tell(void) {
  printf("{\"alive\": %ld, \"compiled\": %ld, \"from_archive\": %ld, \"committed\": %ld}\n", alive, compiled,
         from_archive, committed);
}

static struct object *make(const char *kind, bool is_pooled) {
  struct object *made = calloc(1, sizeof *made);
  snprintf(made->kind, NAME, "%s", kind);
  made->references = 1;
  made->is_pooled = is_pooled;
  if (!is_pooled) ++alive;
  return made;
}
static struct object *make_string(const char *text) {
  struct object *made = make("string", true);
  snprintf(made->text, NAME, "%s", text);
  return made;
}
static bool fails(const char *fault) {
  const char *asked = getenv("SE_METAL_FAULT");
  return asked != NULL && strcmp(asked, fault) == 0;
}
static void fail(struct object **error, const char *why, uint64_t code) {
  if (error == NULL) return;
  *error = make("error", true);
  snprintf((*error)->text, NAME, "%s", why);
  (*error)->length = code;
}

static void work(struct object *commands) {
  for (int i = 0; i < commands->count; ++i) {
    const struct step *step = &commands->steps[i];
    if (step->to != NULL) {
      memcpy(step->to->bytes + step->to_offset, step->from->bytes + step->from_offset, step->bytes);
      continue;
    }
    // kernel void scale(device float *x, constant args &): x[i] = x[i] * factor + more
    for (uint64_t j = 0; j < step->threads; ++j) {
      float *x = (float *)(step->from->bytes + step->from_offset) + j;
      *x = *x * (float)step->numbers[0] + (float)(int64_t)step->numbers[1];
    }
  }
}

void *MTLCreateSystemDefaultDevice(void) { return fails("no device") ? NULL : make("device", false); }
void *objc_getClass(const char *name) {
  if (fails("no archives") && strcmp(name, "MTLBinaryArchiveDescriptor") == 0) return NULL;
  struct object *made = make("class", true);
  snprintf(made->text, NAME, "%s", name);
  return made;
}
const void *sel_registerName(const char *name) { return name; }
void *objc_autoreleasePoolPush(void) { return make("pool", true); }
void objc_autoreleasePoolPop(void *pool) { free(pool); }

#define IS(name) (strcmp(selector, name) == 0)
#define NEXT(type) va_arg(rest, type)

static struct answer device_answers(struct object *self, const char *selector, va_list rest) {
  if (IS("name")) return (struct answer){(uintptr_t)make_string("No GPU"), 0};
  if (IS("recommendedMaxWorkingSetSize")) return (struct answer){4 * MOST_BYTES, 0};
  if (IS("maxBufferLength")) return (struct answer){MOST_BYTES, 0};
  if (IS("newCommandQueue")) return (struct answer){(uintptr_t)make("queue", false), 0};
  if (IS("newBufferWithLength:options:")) {
    const uint64_t length = NEXT(uint64_t);
    if (NEXT(uint64_t) != 0) broken("memory is not shared");
    if (fails("no memory")) return (struct answer){0, 0};
    struct object *made = make("buffer", false);
    made->bytes = malloc(length);
    made->length = length;
    return (struct answer){(uintptr_t)made, 0};
  }
  if (IS("newLibraryWithSource:options:error:")) {
    struct object *source = NEXT(struct object *);
    (void)NEXT(void *);
    struct object **error = NEXT(struct object **);
    if (strstr(source->text, "kernel void") == NULL) return fail(error, "expected a kernel", 3), (struct answer){0, 0};
    return (struct answer){(uintptr_t)make("library", false), 0};
  }
  if (IS("newBinaryArchiveWithDescriptor:error:")) {
    struct object *descriptor = NEXT(struct object *);
    struct object *made = make("archive", false);
    if (descriptor->part != NULL) {
      FILE *file = fopen(descriptor->part->text, "r");
      const bool is_sound = file != NULL && fgets(made->text, NAME, file) != NULL && strncmp(made->text, "kernels", 7) == 0;
      if (file != NULL) fclose(file);
      if (!is_sound) return --alive, free(made), (struct answer){0, 0};
    }
    return (struct answer){(uintptr_t)made, 0};
  }
  if (IS("newComputePipelineStateWithDescriptor:options:reflection:error:")) {
    struct object *descriptor = NEXT(struct object *);
    const bool must_be_there = NEXT(uint64_t) == 4;
    const bool is_there = descriptor->bound != NULL && strstr(descriptor->bound->text, descriptor->part->text) != NULL;
    if (must_be_there && !is_there) return (struct answer){0, 0};
    *(is_there ? &from_archive : &compiled) += 1;
    struct object *made = make("pipeline", false);
    snprintf(made->text, NAME, "%s", descriptor->part->text);
    return (struct answer){(uintptr_t)made, 0};
  }
  (void)self;
  broken(selector);
}

static struct answer commands_answer(struct object *self, const char *selector) {
  if (IS("computeCommandEncoder") || IS("blitCommandEncoder")) {
    if (self->is_open) broken("two encoders at once");
    struct object *made = make("encoder", true);
    made->part = self;
    made->is_open = self->is_open = true;
    return (struct answer){(uintptr_t)made, 0};
  }
  if (IS("commit")) {
    if (self->is_open) broken("a command buffer with an open encoder is committed");
    work(self);
    ++committed;
    self->status = fails("command") || fails("memory") ? FAILED : COMPLETED;
    return (struct answer){0, 0};
  }
  if (IS("waitUntilCompleted")) {
    if (self->status == 0) broken("what was not committed is waited for");
    return (struct answer){0, 0};
  }
  if (IS("status")) return (struct answer){self->status, 0};
  if (IS("error")) {
    struct object *error = NULL;
    fail(&error, "Insufficient Permission", fails("memory") ? 8 : 7);
    return (struct answer){(uintptr_t)error, 0};
  }
  if (IS("GPUStartTime")) return (struct answer){0, 1.5};
  if (IS("GPUEndTime")) return (struct answer){0, 1.75};
  broken(selector);
}

static struct answer encoder_answers(struct object *self, const char *selector, va_list rest) {
  if (IS("endEncoding")) {
    self->is_open = self->part->is_open = false;
    return (struct answer){0, 0};
  }
  if (!self->is_open) broken("an encoder that has ended is used");
  struct step *step = &self->part->steps[self->part->count];
  if (IS("setComputePipelineState:")) {
    if (strcmp(NEXT(struct object *)->text, "scale") != 0) broken("another kernel");
  } else if (IS("setBuffer:offset:atIndex:")) {
    self->bound = NEXT(struct object *);
    self->length = NEXT(uint64_t);
    if (self->length % 256 != 0 || self->length >= self->bound->length) broken("an offset is odd or too large");
    if (NEXT(uint64_t) != 0) broken("the buffer is not the first argument");
  } else if (IS("setBytes:length:atIndex:")) {
    const void *bytes = NEXT(const void *);
    const uint64_t length = NEXT(uint64_t);
    if (length > sizeof self->numbers || NEXT(uint64_t) != 1) broken("numbers do not follow the buffers");
    memcpy(self->numbers, bytes, length);
  } else if (IS("dispatchThreadgroups:threadsPerThreadgroup:")) {
    const struct size groups = NEXT(struct size), threads = NEXT(struct size);
    if (self->part->count == MOST_STEPS) broken("too many kernels in one command buffer");
    const uint64_t count = groups.width * threads.width;
    *step = (struct step){.from = self->bound, .from_offset = self->length, .threads = count};
    memcpy(step->numbers, self->numbers, sizeof step->numbers);
    ++self->part->count;
  } else if (IS("copyFromBuffer:sourceOffset:toBuffer:destinationOffset:size:")) {
    step->from = NEXT(struct object *);
    step->from_offset = NEXT(uint64_t);
    step->to = NEXT(struct object *);
    step->to_offset = NEXT(uint64_t);
    step->bytes = NEXT(uint64_t);
    ++self->part->count;
  } else {
    broken(selector);
  }
  return (struct answer){0, 0};
}

static struct answer class_answers(struct object *self, const char *selector, va_list rest) {
  if (IS("stringWithUTF8String:")) return (struct answer){(uintptr_t)make_string(NEXT(const char *)), 0};
  if (IS("fileURLWithPath:")) return (struct answer){(uintptr_t)NEXT(struct object *), 0};
  if (IS("processInfo")) return (struct answer){(uintptr_t)make("process", true), 0};
  if (IS("arrayWithObject:")) return (struct answer){(uintptr_t)NEXT(struct object *), 0};
  if (IS("new")) return (struct answer){(uintptr_t)make(self->text, false), 0};
  broken(selector);
}

struct answer objc_msgSend(struct object *self, const char *selector, ...) {
  if (self == NULL) return (struct answer){0, 0};
  if (self->references < 1) broken("an object is used after its last reference");
  va_list rest;
  va_start(rest, selector);
  struct answer answer = {0, 0};
  if (IS("retain")) {
    if (self->is_pooled) self->is_pooled = false, self->references = 0, ++alive;
    ++self->references;
    answer.number = (uintptr_t)self;
  } else if (IS("release")) {
    if (strcmp(self->kind, "encoder") == 0 && self->is_open) broken("an encoder is let go before it has ended");
    if (--self->references == 0) --alive;
  } else if (IS("UTF8String")) {
    answer.number = (uintptr_t)self->text;
  } else if (IS("localizedDescription")) {
    answer.number = (uintptr_t)make_string(self->text);
  } else if (IS("operatingSystemVersionString")) {
    answer.number = (uintptr_t)make_string("Version 15.1");
  } else if (IS("code") || IS("maxTotalThreadsPerThreadgroup")) {
    answer.number = IS("code") ? self->length : MOST_THREADS;
  } else if (IS("contents")) {
    answer.number = (uintptr_t)self->bytes;
  } else if (IS("commandBuffer")) {
    answer.number = (uintptr_t)make("commands", true);
  } else if (IS("newFunctionWithName:")) {
    struct object *name = NEXT(struct object *), *made = strcmp(name->text, "scale") == 0 ? make("function", false) : NULL;
    if (made != NULL) snprintf(made->text, NAME, "%s", name->text);
    answer.number = (uintptr_t)made;
  } else if (IS("setComputeFunction:") || IS("setUrl:")) {
    self->part = NEXT(struct object *);
  } else if (IS("setBinaryArchives:")) {
    self->bound = NEXT(struct object *);
  } else if (IS("addComputePipelineFunctionsWithDescriptor:error:")) {
    snprintf(self->text, NAME, "kernels %s", NEXT(struct object *)->part->text);
    answer.number = true;
  } else if (IS("serializeToURL:error:")) {
    FILE *file = fopen(NEXT(struct object *)->text, "w");
    answer.number = file != NULL && fputs(self->text, file) >= 0;
    if (file != NULL) fclose(file);
  } else if (strcmp(self->kind, "device") == 0) {
    answer = device_answers(self, selector, rest);
  } else if (strcmp(self->kind, "commands") == 0) {
    answer = commands_answer(self, selector);
  } else if (strcmp(self->kind, "encoder") == 0) {
    answer = encoder_answers(self, selector, rest);
  } else if (strcmp(self->kind, "class") == 0) {
    answer = class_answers(self, selector, rest);
  } else {
    broken(selector);
  }
  va_end(rest);
  return answer;
}
