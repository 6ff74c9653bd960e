// Writes and reads the format; everything in a file is checked before it is used.
#include "text/saved_sequence.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <span>
#include <string_view>

#include "base/file.h"
#include "base/sha256.h"
#include "base/status.h"

namespace se {
namespace fs = std::filesystem;
namespace {

struct SavedHeader {
  char magic[32];
  char model[64];
  char engine[32];
  uint64_t tokens;
  uint64_t state_bytes;
};
static_assert(sizeof(SavedHeader) == 144);

constexpr char kConversationMagic[32] = "sphere-edge conversation 1";
constexpr size_t kHashLetters = 64;

[[noreturn]] void refuse_conversation(const fs::path &path, const std::string &problem) {
  throw Error(SE_MODEL_CORRUPT, ticked(path.string()) + " " + problem, "begin the conversation anew");
}

SavedHeader header_of(const SavedModel &model, const SavedSequence &sequence) {
  SavedHeader header{};
  std::memcpy(header.magic, kConversationMagic, sizeof(header.magic));
  model.id.copy(header.model, sizeof(header.model));
  model.engine.copy(header.engine, sizeof(header.engine) - 1);
  header.tokens = sequence.tokens.size();
  header.state_bytes = sequence.state.size();
  return header;
}

// The header of a file whose size is what it says, for this model.
SavedHeader checked_header(const fs::path &path, const SavedModel &model) {
  const uint64_t size = file_bytes(path);
  SavedHeader header{};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char *>(&header), sizeof(header));
  const SavedHeader wanted = header_of(model, {});
  if (std::memcmp(header.magic, wanted.magic, sizeof(header.magic)) != 0) {
    refuse_conversation(path, "is not a saved conversation");
  }
  if (std::memcmp(header.model, wanted.model, sizeof(header.model)) != 0) {
    throw Error(SE_FORMAT_MISMATCH, "the conversation " + ticked(path.string()) + " was saved with another model",
                "restore it with the bundle or the file that it was saved with");
  }
  if (std::memcmp(header.engine, wanted.engine, sizeof(header.engine)) != 0) {
    throw Error(SE_FORMAT_MISMATCH,
                "the conversation " + ticked(path.string()) + " was not saved by " + ticked(model.engine),
                "restore it with the backend that it was saved with");
  }
  require(
      header.tokens <= model.context_tokens,
      "the conversation has " + ticked(header.tokens) + " tokens and the context holds " + ticked(model.context_tokens),
      "open with a longer context");
  const bool has_size = header.tokens > 0 && header.state_bytes <= model.most_state_bytes &&
                        size == sizeof(header) + header.tokens * sizeof(int32_t) + header.state_bytes + kHashLetters;
  if (!has_size) refuse_conversation(path, "has another length than its conversation: it may be cut off");
  return header;
}

}  // namespace

void write_sequence(const fs::path &path, const SavedModel &model, const SavedSequence &sequence) {
  const SavedHeader header = header_of(model, sequence);
  std::vector<std::span<const std::byte>> parts = {std::as_bytes(std::span(&header, 1)),
                                                   std::as_bytes(std::span(sequence.tokens)), sequence.state};
  Sha256 hash;
  for (const auto part : parts) hash.add(part);
  const std::string end = hash.finish();
  parts.push_back(std::as_bytes(std::span(end)));
  write_file(path, parts);
}

SavedSequence read_sequence(const fs::path &path, const SavedModel &model) {
  const SavedHeader header = checked_header(path, model);
  SavedSequence sequence;
  sequence.tokens.resize(header.tokens);
  sequence.state.resize(header.state_bytes);
  std::string end(kHashLetters, '\0');
  SavedHeader again{};
  const std::span<std::byte> parts[] = {std::as_writable_bytes(std::span(&again, 1)),
                                        std::as_writable_bytes(std::span(sequence.tokens)), sequence.state};
  std::ifstream stream(path, std::ios::binary);
  Sha256 hash;
  for (const auto part : parts) {
    stream.read(reinterpret_cast<char *>(part.data()), static_cast<std::streamsize>(part.size()));
    hash.add(part);
  }
  stream.read(end.data(), static_cast<std::streamsize>(end.size()));
  if (!stream || std::memcmp(&header, &again, sizeof(header)) != 0 || hash.finish() != end) {
    refuse_conversation(path, "is damaged");
  }
  return sequence;
}

std::string gguf_id(const fs::path &path) {
  constexpr size_t kBeginBytes = 1 << 20, kBlockBytes = 1 << 12, kBlocks = 1024;
  const MappedFile file(path);
  const auto bytes = file.bytes();
  const uint64_t size = bytes.size();
  Sha256 hash;
  hash.add(std::as_bytes(std::span(&size, 1)));
  hash.add(bytes.first(std::min(kBeginBytes, bytes.size())));
  for (size_t i = 0; i < kBlocks; ++i) {
    const size_t at = size / kBlocks * i;
    hash.add(bytes.subspan(at, std::min<size_t>(kBlockBytes, size - at)));
  }
  return hash.finish();
}

}  // namespace se
