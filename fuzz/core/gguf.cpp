// The header of a GGUF file: as one of a model, of an image encoder, and its makers' advice.
#include "formats/gguf.h"

#include "base/status.h"
#include "formats/gguf_sampling.h"
#include "formats/image_encoder_file.h"
#include "target.h"

namespace {

const Target gguf_target("gguf", [](const std::string &data) {
  const std::filesystem::path path = file_with(data);
  const se::GgufHeader header = se::read_gguf_tensors(path);
  if (header.architecture == se::kImageEncoder) return se::check_image_encoder(header, path);
  se::gguf_sampling(header);
  se::read_gguf(path);
  se::check_gguf_vocabulary(header, path);
  se::check_gguf_model(header, path);
});

}  // namespace
