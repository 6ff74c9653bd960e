// Reads the format of llama_context::state_seq_get_data and llama_kv_cache::state_write at the pin: a magic number and
// the sequence, then for each cache a list of streams, of which only that of the sequence has cells.
#include "engines/llama_state.h"

#include <cstring>

#include "base/status.h"

namespace se {
namespace {

constexpr size_t kStateHeaderBytes = 8;

class StateReader {
 public:
  explicit StateReader(std::span<const std::byte> rest) : rest_(rest) {}

  std::span<const std::byte> rest() const { return rest_; }

  static void require(bool holds) {
    if (!holds) throw Error(SE_MODEL_CORRUPT, "these are not the keys and values of a sequence of this model");
  }

  template <typename Number>
  Number number() {
    Number value{};
    std::memcpy(&value, take(sizeof(Number)).data(), sizeof(Number));
    return value;
  }

  // `count` times `bytes`, both of the file.
  void skip(uint64_t count, uint64_t bytes) {
    require(bytes == 0 || count <= rest_.size() / bytes);
    take(count * bytes);
  }

 private:
  std::span<const std::byte> take(uint64_t bytes) {
    require(bytes <= rest_.size());
    const auto taken = rest_.first(bytes);
    rest_ = rest_.subspan(bytes);
    return taken;
  }

  std::span<const std::byte> rest_;
};

// Keys or values with a row for each token. llama.cpp compares the type and the sizes with its own.
void skip_rows(StateReader &reader, uint32_t cells) {
  reader.number<int32_t>();
  reader.skip(cells, reader.number<uint64_t>());
}

// Values with a row for each dimension.
void skip_columns(StateReader &reader, uint32_t cells) {
  reader.number<int32_t>();
  const uint64_t bytes = reader.number<uint32_t>();
  reader.skip(reader.number<uint32_t>(), bytes * cells);
}

// The cells of one stream: the last `cells` of `tokens` positions, in any order, each once.
void skip_stream(StateReader &reader, uint32_t cells, uint32_t tokens) {
  StateReader::require(cells <= tokens);
  std::vector<bool> seen(cells);
  for (uint32_t i = 0; i < cells; ++i) {
    const int64_t place = int64_t{reader.number<int32_t>()} - (tokens - cells);
    StateReader::require(place >= 0 && place < cells && !seen[static_cast<size_t>(place)]);
    seen[static_cast<size_t>(place)] = true;
    StateReader::require(reader.number<uint32_t>() == 1);
    reader.number<int32_t>();  // the sequence
  }
  const bool is_transposed = reader.number<uint32_t>() != 0;
  const auto layers = reader.number<uint32_t>();
  for (uint32_t i = 0; i < layers; ++i) skip_rows(reader, cells);
  for (uint32_t i = 0; i < layers; ++i) is_transposed ? skip_columns(reader, cells) : skip_rows(reader, cells);
}

void append(std::vector<std::byte> &out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// Of each cache the number of its cells and their content.
std::vector<std::byte> without_streams(std::span<const std::byte> state, uint32_t tokens) {
  StateReader::require(state.size() >= kStateHeaderBytes);
  StateReader reader(state.subspan(kStateHeaderBytes));
  std::vector<std::byte> portable;
  portable.reserve(state.size());
  while (!reader.rest().empty()) {
    const size_t before = portable.size();
    for (auto streams = reader.number<uint32_t>(); streams > 0; --streams) {
      const auto begin = reader.rest();
      const auto cells = reader.number<uint32_t>();
      if (cells == 0) continue;
      StateReader::require(portable.size() == before);
      skip_stream(reader, cells, tokens);
      append(portable, begin.first(begin.size() - reader.rest().size()));
    }
    StateReader::require(portable.size() > before);
  }
  return portable;
}

}  // namespace

std::vector<std::byte> portable_state(std::span<const std::byte> state, uint32_t tokens) {
  try {
    return without_streams(state, tokens);
  } catch (const Error &) {
    throw Error(SE_UNSUPPORTED, "a conversation with a model of this kind cannot be saved");
  }
}

std::vector<std::byte> llama_state(std::span<const std::byte> portable, uint32_t tokens,
                                   std::span<const std::byte> empty) {
  StateReader layout(empty.subspan(kStateHeaderBytes));
  StateReader reader(portable);
  std::vector<std::byte> state(empty.begin(), empty.begin() + kStateHeaderBytes);
  state.reserve(portable.size() + empty.size());
  bool is_first = true;
  while (!layout.rest().empty()) {
    const auto streams = layout.number<uint32_t>();
    layout.skip(streams, sizeof(uint32_t));
    const auto begin = reader.rest();
    const auto cells = reader.number<uint32_t>();
    // Only a window may have forgotten the first tokens.
    StateReader::require(is_first ? cells == tokens : cells > 0);
    is_first = false;
    skip_stream(reader, cells, tokens);
    append(state, std::as_bytes(std::span(&streams, 1)));
    append(state, begin.first(begin.size() - reader.rest().size()));
    state.resize(state.size() + (streams - 1) * sizeof(uint32_t));
  }
  StateReader::require(reader.rest().empty());
  return state;
}

}  // namespace se
