// sphere-edge-quantize IN.gguf OUT.gguf TYPE THREADS: llama.cpp's own quantizer, for packaging.
//
// TYPE: a llama_ftype's number. Prints `[done/all] ` for each tensor, and the engine's complaints on stderr.
// Exit codes: 0; 1 it failed; 64 wrong usage.
#include <llama.h>

#include <cstdio>
#include <cstdlib>

namespace {

constexpr int kUsage = 64;
// Rows of one tensor that are in memory at once.
constexpr size_t kBufferBytes = 256 << 20;

void on_log(ggml_log_level level, const char *text, void *) {
  int done = 0, all = 0;
  if (std::sscanf(text, "[%d/%d]", &done, &all) == 2) {
    std::printf("[%d/%d] \n", done, all);
    std::fflush(stdout);
  } else if (level == GGML_LOG_LEVEL_ERROR) {
    std::fputs(text, stderr);
  }
}

}  // namespace

int main(int count, char **arguments) {
  if (count != 5) {
    std::fprintf(stderr, "usage: %s IN.gguf OUT.gguf TYPE THREADS\n", arguments[0]);
    return kUsage;
  }
  llama_log_set(on_log, nullptr);
  llama_model_quantize_params parameters = llama_model_quantize_default_params();
  parameters.ftype = static_cast<llama_ftype>(std::atoi(arguments[3]));
  parameters.nthread = std::atoi(arguments[4]);
  parameters.allow_requantize = true;
  parameters.max_buf_size = kBufferBytes;
  return llama_model_quantize(arguments[1], arguments[2], &parameters) == 0 ? 0 : 1;
}
