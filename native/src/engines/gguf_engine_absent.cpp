// Replaces the engine for GGUF files in builds without llama.cpp's models.
#include "base/status.h"
#include "engines/gguf_engine.h"

namespace se {
namespace {

[[noreturn]] void refuse() {
  throw Error(SE_UNSUPPORTED, "this build of the runtime cannot run GGUF files",
              "build one that does: sphere-edge runtime build");
}

}  // namespace

GgufEngine open_gguf_engine(const std::filesystem::path &, const EngineOptions &) { refuse(); }

ImageEncoderFacts image_encoder_facts(const std::filesystem::path &) { refuse(); }

std::vector<std::string> gguf_backends() { return {}; }

}  // namespace se
