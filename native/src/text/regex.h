// Regular expressions over Unicode's characters with intersection and complement, and their automata.
//
// By derivatives (Brzozowski, "Derivatives of Regular Expressions", JACM 1964): what may follow a character is again an
// expression, and each different one becomes a state.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace se {

// Sorted ranges of characters that do not touch; surrogates are in none.
using CharacterRanges = std::vector<std::pair<char32_t, char32_t>>;

CharacterRanges all_characters();
// Sorted, joined and without surrogates.
CharacterRanges normalized(CharacterRanges ranges);
CharacterRanges complement(const CharacterRanges &ranges);

// Deterministic, and every state can still reach an accepting one.
struct Automaton {
  struct State {
    bool accepts = false;
    std::vector<std::pair<CharacterRanges, uint32_t>> next;
  };
  // The first one is where it starts; none: no text is accepted.
  std::vector<State> states;

  bool accepts(std::u32string_view text) const;
};

// Makes expressions, each different one once, so that equal ones have equal numbers.
class RegexBuilder {
 public:
  using Id = uint32_t;

  static constexpr uint64_t kUnlimited = UINT64_MAX;

  RegexBuilder();

  Id nothing() const { return 0; }
  Id empty() const { return 1; }
  Id any_text() const { return 2; }
  Id characters(CharacterRanges ranges);
  Id literal(std::u32string_view text);
  Id sequence(Id first, Id second);
  Id sequence(const std::vector<Id> &parts);
  Id either(std::vector<Id> parts);
  Id both(std::vector<Id> parts);
  Id except(Id part);
  Id repeated(Id part, uint64_t least, uint64_t most);

  // Nothing if there are more than `most_states`, or making it takes too long.
  std::optional<Automaton> automaton(Id expression, size_t most_states);

 private:
  enum class Kind : uint8_t { nothing, empty, characters, sequence, either, both, except, repeated };
  struct Node {
    Kind kind;
    std::vector<Id> parts = {};
    uint64_t least = 0, most = 0;
    CharacterRanges ranges = {};
    auto operator<=>(const Node &) const = default;
  };

  Id made(Node node, bool accepts_empty);
  // Parts of parts of the same kind become parts, sorted, each once.
  std::vector<Id> flat(Kind kind, const std::vector<Id> &parts) const;
  Id derivative(Id expression, char32_t character, int depth);
  // Characters between which no expression makes a difference, as one of each kind and all of that kind.
  std::vector<std::pair<char32_t, CharacterRanges>> alphabet() const;

  std::vector<Node> nodes_;
  std::vector<bool> accepts_empty_;
  std::map<Node, Id> known_;
  std::map<std::pair<Id, char32_t>, Id> derivatives_;
  uint64_t steps_left_ = 0;
};

}  // namespace se
