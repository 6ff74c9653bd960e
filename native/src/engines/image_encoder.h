// Images as a text model reads them: cut into pieces that are tokens of text, or vectors in the place of tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/interrupt.h"

namespace se {

// Rows from the top without gaps, 3 bytes per pixel in the order RGB.
struct ChatImage {
  uint32_t width = 0;
  uint32_t height = 0;
  std::span<const uint8_t> pixels;
};

// A part of an image, prepared but not encoded; an encoder knows what it is.
class ImagePart {
 public:
  virtual ~ImagePart() = default;
};

struct ImagePiece {
  std::vector<int32_t> tokens = {};  // with which the model frames images; empty: `part`
  std::shared_ptr<const ImagePart> part = {};
  uint32_t token_count = 0;  // of the context that the piece takes
};

struct ImageEmbeddings {
  std::vector<float> vectors;  // row by row
  uint32_t token_count = 0;    // rows
  // Of models whose tokens have several positions: from the image's first, row by row of `position_axes`; otherwise
  // empty, and the rows follow one another.
  std::vector<int32_t> positions = {};
  uint32_t position_axes = 1;
  uint32_t position_count = 0;  // by how much the positions of the text after it are higher
  bool sees_all = false;        // each row attends to all of them
};

// Used by one thread at a time, but beside the engine whose model it serves, which keeps the encoder's model alive.
class ImageEncoder {
 public:
  virtual ~ImageEncoder() = default;
  // INVALID_ARGUMENT for an image that the model cannot be shown.
  virtual std::vector<ImagePiece> divide(const ChatImage &image) = 0;
  // Throws CANCELLED or TIMEOUT when interrupted, also while it computes.
  virtual ImageEmbeddings encode(const ImagePart &part, const Interrupt &interrupt) = 0;
  // All rows of an image attend to one another, so all must be in one batch.
  virtual bool sees_all() const = 0;
};

// What the file of an image encoder, a model's `mmproj`, needs.
struct ImageEncoderFacts {
  std::string projector;        // its type, "mlp"
  uint32_t embedding_size = 0;  // numbers of a row, as the text model takes it
  uint64_t weights_bytes = 0;
  uint64_t workspace_bytes = 0;  // while it encodes
};

}  // namespace se
