// TextManager: one opened language model, whichever engine runs it; what se_text_* does, with exceptions.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/call_guard.h"
#include "engines/engine.h"
#include "formats/bundle.h"
#include "sphere_edge.h"
#include "text/chat_template.h"
#include "text/output_stream.h"
#include "text/sampler.h"
#include "text/tokenizer.h"
#include "tvm/tvm_engine.h"

namespace se {

struct GenerateOptions {
  uint32_t max_tokens;
  SamplingOptions sampling;
  std::vector<std::string> stops;
  bool ignore_end_of_text;
  uint32_t timeout_ms;
};

class TextManager {
 public:
  // A bundle folder or a .gguf file.
  static std::unique_ptr<TextManager> open(const std::filesystem::path &path, int threads, uint32_t context_tokens,
                                           const TvmChoice &choice);
  static std::unique_ptr<TextManager> open_vocabulary(const std::filesystem::path &path);

  // Fills `result` also when it throws CANCELLED or TIMEOUT.
  void generate(std::string_view prompt, const GenerateOptions &options, const Answer::Receiver &receiver,
                se_text_result &result);
  void generate(std::span<const int32_t> tokens, const GenerateOptions &options, const Answer::Receiver &receiver,
                se_text_result &result);
  void chat(const std::string &messages_json, const GenerateOptions &options, const Answer::Receiver &receiver,
            se_text_result &result);
  std::string render_chat(const std::string &messages_json);

  // Hands the logits after each token to `receiver`, row by row from the first.
  using RowReceiver = std::function<void(size_t row, std::span<const float> logits)>;
  void score(std::span<const int32_t> tokens, const RowReceiver &receiver);

  // Logits after the last token, by the path that generation takes. Valid until the next call.
  std::span<const float> next_logits(std::span<const int32_t> tokens);
  void watch(KernelReceiver receiver);

  std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special);
  std::string detokenize(std::span<const int32_t> tokens, bool keep_special);
  void reset();
  // The one function that any thread may call at any time.
  void cancel() { turn_.cancel(); }
  // Waits until no call runs.
  void wait() { turn_.wait(); }

  std::string info_json();
  const SamplingDefaults &sampling_defaults() const { return sampling_; }
  // Logits of a row: the model's, which may be more than the tokenizer has tokens.
  uint32_t vocab_size() { return engine().facts().vocab_size; }

 private:
  TextManager(Tokenizer tokenizer, std::unique_ptr<Engine> engine, std::optional<std::string> chat_template);
  static std::unique_ptr<TextManager> open_bundle(const std::filesystem::path &path, int threads,
                                                  uint32_t context_tokens, const TvmChoice &choice);
  // `bundle`: the one that the file is in; null for a file by itself.
  static std::unique_ptr<TextManager> open_gguf(const std::filesystem::path &path, int threads, uint32_t context_tokens,
                                                std::optional<std::string> chat_template, const Bundle *bundle,
                                                const std::string &backend);

  Engine &engine();
  void run(std::span<const int32_t> prompt, const GenerateOptions &options, const Answer::Receiver &receiver,
           se_text_result &result);
  void check_fits(size_t token_count);
  std::span<const float> prefill(std::span<const int32_t> prompt, se_text_result &result);

  Turn turn_;
  Tokenizer tokenizer_;
  std::unique_ptr<Engine> engine_;
  ChatTemplate chat_template_;
  SamplingDefaults sampling_;
  std::vector<int32_t> computed_;  // the tokens whose keys and values the engine holds, from position 0
  double load_seconds_ = 0;
};

}  // namespace se
