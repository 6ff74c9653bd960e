// TextManager: one open language model, whichever engine runs it; what se_text_* does, with exceptions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/interrupt.h"
#include "engines/engine.h"
#include "engines/image_encoder.h"
#include "formats/bundle.h"
#include "text/chat_format.h"
#include "text/image_numbers.h"
#include "text/output_stream.h"
#include "text/prefill.h"
#include "text/response.h"
#include "text/sampler.h"
#include "text/saved_sequence.h"
#include "text/scheduler.h"
#include "text/sequences.h"
#include "text/speculation.h"
#include "text/text_delta.h"
#include "text/tokenizer.h"

namespace se {

// A conversation as JSON, see ChatRequest::parse, and its images in order.
struct ChatMessages {
  std::string json;
  std::vector<ChatImage> images = {};
};

// Where the drafts of speculative decoding come from.
enum class DraftSource { off, prompt_lookup, model };

// The most tokens that are drafted at once.
constexpr uint32_t kMostDraftTokens = 31;

struct TextRequest {
  std::variant<std::string, std::span<const int32_t>, ChatMessages> prompt;
  uint32_t max_tokens = 0;  // 0: until the model stops or the context is full
  SamplingOptions sampling;
  std::optional<std::string> json_schema = {};  // that the answer follows, in place of a grammar
  std::vector<std::string> stops;
  std::vector<int32_t> stop_tokens;
  bool ignore_end_of_text = false;
  std::optional<uint32_t> top_logprobs;  // so many of the likeliest come with each token; nullopt: no log probabilities
  std::string sequence_key = "";         // see Sequences::take
  DraftSource draft = DraftSource::off;
  uint32_t draft_tokens = 0;    // at once; 0: as many as save time, by the clock
  std::string prediction = {};  // what the answer may repeat besides the prompt
};

enum class FinishReason { stop, length, cancelled, tool_calls };

struct TextResult {
  FinishReason finish_reason = FinishReason::cancelled;
  int32_t stop_index = -1;
  uint32_t prompt_tokens = 0;
  uint32_t cached_tokens = 0;
  uint32_t completion_tokens = 0;
  uint32_t reasoning_tokens = 0;
  uint32_t draft_tokens = 0;     // that the model checked
  uint32_t accepted_tokens = 0;  // of these, tokens that became text
  uint32_t seed = 0;
  double prefill_seconds = 0;
  double first_token_seconds = 0;
  double decode_seconds = 0;
  std::string backend = {};
};

struct EmbedRequest {
  std::string pooling;  // empty: the model's own
  bool normalized = true;
  bool truncates = false;  // otherwise a text that is too long is refused
};

struct EmbedResult {
  uint64_t tokens = 0;
  uint32_t truncated = 0;  // texts that were cut off
  double seconds = 0;
};

// Every function may be called from any thread, also while others run: calls that compute wait for a free sequence.
class TextManager {
 public:
  static constexpr char kTask[] = "text";

  // A bundle folder or a .gguf file.
  static std::unique_ptr<TextManager> open(const std::filesystem::path &path, EngineOptions options);
  // Opens a second, smaller model beside it, which drafts for DraftSource::model. FORMAT_MISMATCH: its tokens are
  // others.
  void open_draft(const std::filesystem::path &path, EngineOptions options);
  bool has_draft() const { return draft_ != nullptr; }
  static std::unique_ptr<TextManager> open_vocabulary(const std::filesystem::path &path);

  // Fills `result` also when it throws CANCELLED or TIMEOUT.
  void generate(const TextRequest &request, const DeltaReceiver &receiver, const Interrupt &interrupt,
                TextResult &result);
  std::string render_chat(const std::string &conversation, const Interrupt &interrupt) const;
  // Tokens of the prompt.
  size_t count_chat(const ChatMessages &messages, const Interrupt &interrupt) const;

  // Passes the logits after each token to `receiver`, row by row from the first.
  using RowReceiver = std::function<void(size_t row, std::span<const float> logits)>;
  void score(std::span<const int32_t> tokens, const RowReceiver &receiver, const Interrupt &interrupt);

  // Logits after the last token, computed as generation computes them.
  std::vector<float> next_logits(std::span<const int32_t> tokens, const Interrupt &interrupt);
  void set_trace(TraceCallback callback);

  // One vector of facts().embedding_size numbers for each text, one after the other into `out`.
  void embed(std::span<const std::string> texts, const EmbedRequest &request, std::span<float> out,
             const Interrupt &interrupt, EmbedResult &result);

  // Writes the conversation that was last used with this key (empty: the last of all) to a file; returns its tokens.
  size_t save(const std::filesystem::path &path, const std::string &key, const Interrupt &interrupt);
  // Reads one; calls whose prompts begin with it continue it.
  size_t restore(const std::filesystem::path &path, const std::string &key, const Interrupt &interrupt);

  std::vector<int32_t> tokenize(std::string_view text, bool add_special, bool parse_special) const;
  std::string detokenize(std::span<const int32_t> tokens, bool keep_special) const;
  void reset();

  std::string info_json();
  const SamplingDefaults &sampling_defaults() const { return sampling_; }
  // Logits per row: the model's vocabulary, which may be larger than the tokenizer's.
  uint32_t vocab_size() const { return facts().vocab_size; }
  // Numbers of an embedding; 0: it makes none.
  uint32_t embedding_size() const { return facts().embedding_size; }

 private:
  TextManager(Tokenizer tokenizer, std::unique_ptr<Engine> engine, std::optional<std::string> chat_template);
  static std::unique_ptr<TextManager> open_bundle(const std::filesystem::path &path, EngineOptions options);
  // `bundle`: the one that contains the file; null for a bare file.
  static std::unique_ptr<TextManager> open_gguf(const std::filesystem::path &path, const EngineOptions &options,
                                                const Bundle *bundle);

  const EngineFacts &facts() const { return engine().facts(); }
  uint64_t model_bytes() const { return facts().weights_bytes + facts().kv_cache_bytes; }
  Engine &engine() const;
  // A prompt's tokens, and how the answer to it is read.
  struct Prepared {
    std::vector<int32_t> tokens = {};
    std::vector<PromptImage> images = {};
    ChatPrompt chat = {};
  };
  Prepared prepare(const TextRequest &request, const Interrupt &interrupt) const;
  Prepared prepare_chat(const TextRequest &request, const TokenizeLimits &limits) const;
  void check_images(const ChatRequest &chat, std::span<const ChatImage> images) const;
  // The tokens of a prompt with marks.
  Prepared with_images(std::string_view prompt, std::span<const ChatImage> images, const TokenizeLimits &limits) const;
  void place(const ChatImage &image, Prepared &prepared, const Interrupt &interrupt) const;
  // Runs `work`, and nothing else uses the image encoder meanwhile. On a GPU nothing else uses that either.
  void with_image_encoder(const Interrupt &interrupt, const std::function<void(ImageEncoder &)> &work) const;
  const InputMarks &marks() const;
  // With those special tokens that a stop string names: they have no text in the output.
  void check_fits(size_t token_count) const;
  SavedModel saved_model() const;
  std::vector<int32_t> embedding_tokens(const std::string &text, bool truncates, const Interrupt &interrupt,
                                        EmbedResult &result) const;
  PromptImages images_of(const Prepared &prepared, const Interrupt &interrupt) const;
  void check_draft(DraftSource source) const;
  Drafting drafting(const TextRequest &request, const Decoder &decoder, std::span<const int32_t> prompt);

  Tokenizer tokenizer_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ImageEncoder> image_encoder_;  // null: the model sees no images
  mutable std::timed_mutex image_encoder_mutex_;
  mutable ImageNumbers image_numbers_;
  ChatFormat chat_format_;
  mutable std::once_flag marks_once_;
  mutable std::optional<InputMarks> marks_;
  SamplingDefaults sampling_;
  std::string bundle_id_;             // empty for a bare file
  std::filesystem::path model_path_;  // as given to open
  // Of the engine; null for a vocabulary.
  std::unique_ptr<Scheduler> scheduler_;
  std::unique_ptr<Sequences> sequences_;
  double load_seconds_ = 0;
  // The model that drafts, if there is one, and what its sequences hold: the one of each of our sequences.
  std::unique_ptr<TextManager> draft_;
  std::vector<Sequence> draft_sequences_;
  DraftCosts lookup_costs_, draft_model_costs_;
};

}  // namespace se
