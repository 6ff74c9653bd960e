// Options cross from Kotlin as pairs of a name and a value in UTF-8, and are written into a struct of sphere_edge.h.
//
// A table per struct says which name is which field, so that a field that the core gains is one line here.
#pragma once

#include <jni.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "sphere_edge.h"

namespace sphere_edge_jni {

// TEXTS, IDS, BIASES, LORAS and IMAGES grow by one for each pair; the others are one value.
enum class Kind { I32, U32, U8, U64, F32, BOOL, TEXT, BYTES, TEXTS, IDS, BIASES, LORAS, IMAGES };

struct Field {
  const char *name;
  Kind kind;
  size_t offset;
  size_t count_offset = 0;
};

// What the pointers in a struct point to; must live as long as the struct is used.
struct Storage {
  std::deque<std::string> strings;
  std::vector<const char *> stops, breakers;
  std::vector<int32_t> ids;
  std::vector<se_logit_bias> biases;
  std::vector<se_image_lora> loras;
  std::vector<se_chat_image> images;
};

// Throws a SphereEdgeException and returns false for an unknown name or a value that the field cannot hold.
bool fill(JNIEnv *env, jobjectArray pairs, const std::vector<Field> &fields, void *target, Storage &storage);

extern const std::vector<Field> TEXT_OPEN, TEXT_GENERATE, TEXT_EMBED, AUDIO_OPEN, AUDIO_TRANSCRIBE, AUDIO_STREAM,
    IMAGE_OPEN, IMAGE_GENERATE;

}  // namespace sphere_edge_jni
