// Prints what whisper.cpp computes, for comparing converted models with their originals:
//
//   whisper-logits MODEL SAMPLES OUT TOKEN…    writes the logits after each token, float32; SAMPLES are float32, 16 kHz
#include <whisper.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

int main(int count, char **words) {
  if (count < 5) return 64;
  whisper_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
  whisper_context_params parameters = whisper_context_default_params();
  parameters.use_gpu = false;
  whisper_context *context = whisper_init_from_file_with_params(words[1], parameters);
  if (context == nullptr) return 1;
  std::ifstream stream(words[2], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(stream), {}};
  const auto *samples = reinterpret_cast<const float *>(bytes.data());
  constexpr int kThreads = 2;
  if (whisper_pcm_to_mel(context, samples, static_cast<int>(bytes.size() / sizeof(float)), kThreads) != 0) return 2;
  if (whisper_encode(context, 0, kThreads) != 0) return 3;
  std::ofstream out(words[3], std::ios::binary);
  for (int i = 4; i < count; ++i) {
    const whisper_token token = std::atoi(words[i]);
    if (whisper_decode(context, &token, 1, i - 4, kThreads) != 0) return 4;
    out.write(reinterpret_cast<const char *>(whisper_get_logits(context)),
              static_cast<std::streamsize>(sizeof(float)) * whisper_n_vocab(context));
  }
  whisper_free(context);
  return out ? 0 : 5;
}
