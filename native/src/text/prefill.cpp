// Keeps the common prefix, and computes the rest in parts between the steps of other calls.
#include "text/prefill.h"

#include <algorithm>

namespace se {
namespace {

// Between two decode steps of other calls at most this much of a prompt is computed: each adds a pause to their
// answers. The same with and without other calls, so that a text does not depend on them.
constexpr size_t kSharedPrefillTokens = 128;

// Of an image all is computed or nothing.
size_t without_part_of_image(size_t common, std::span<const PromptImage> images) {
  for (const PromptImage &image : images) {
    if (image.begin < common && common < image.begin + image.token_count) return image.begin;
  }
  return common;
}

void prefill_image(const Decoder &decoder, const PromptImage &image, const PromptImages &images) {
  const ImageEmbeddings made = images.encode(*image.part);
  decoder.scheduler.alone(decoder.interrupt, [&](Engine &engine) {
    engine.advance_image(decoder.sequence.index, made, static_cast<uint32_t>(image.begin), decoder.interrupt);
  });
}

}  // namespace

std::vector<float> prefill(const Decoder &decoder, std::span<const int32_t> prompt, uint32_t &cached_tokens,
                           const PromptImages &images) {
  Sequence &sequence = decoder.sequence;
  const Interrupt &interrupt = decoder.interrupt;
  // The last token is always computed, because its logits are needed.
  const size_t same = std::min(common_prefix(sequence.computed, prompt), prompt.size() - 1);
  const size_t common = without_part_of_image(same, images.placed);
  sequence.computed.resize(common);
  decoder.scheduler.alone(interrupt, [&](Engine &engine) {
    sequence.computed.resize(engine.rewind(sequence.index, static_cast<uint32_t>(common)));
  });
  cached_tokens = static_cast<uint32_t>(sequence.computed.size());
  std::vector<float> logits;
  const size_t most = decoder.engine.facts().sequences == 1 ? prompt.size() : kSharedPrefillTokens;
  while (sequence.computed.size() < prompt.size()) {
    const size_t done = sequence.computed.size();
    const auto next = std::find_if(images.placed.begin(), images.placed.end(),
                                   [done](const PromptImage &image) { return image.begin >= done; });
    if (next != images.placed.end() && next->begin == done) {
      prefill_image(decoder, *next, images);
      const auto tokens = prompt.subspan(done, next->token_count);
      sequence.computed.insert(sequence.computed.end(), tokens.begin(), tokens.end());
      continue;
    }
    const size_t end = next == images.placed.end() ? prompt.size() : next->begin;
    const auto part = prompt.subspan(done, std::min(most, end - done));
    decoder.scheduler.alone(interrupt, [&](Engine &engine) {
      const auto row = engine.advance(sequence.index, part, static_cast<uint32_t>(done), interrupt);
      if (done + part.size() == prompt.size()) logits.assign(row.begin(), row.end());
    });
    sequence.computed.insert(sequence.computed.end(), part.begin(), part.end());
  }
  sequence.prompt_tokens = prompt.size();
  return logits;
}

}  // namespace se
