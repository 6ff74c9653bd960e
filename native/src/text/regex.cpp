// Expressions are simplified as they are made: without that their derivatives would not end.
#include "text/regex.h"

#include <algorithm>
#include <iterator>
#include <set>

namespace se {
namespace {

constexpr char32_t kLastCharacter = 0x10FFFF;
constexpr char32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;
// Derivatives of one automaton; some milliseconds for each thousand.
constexpr uint64_t kMostDerivatives = 500'000;
// Musl's threads have 128 KiB of stack.
constexpr int kDeepestDerivative = 150;

struct TooManySteps {};

bool has_character(const CharacterRanges &ranges, char32_t character) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), character,
                                      [](char32_t value, const auto &range) { return value < range.first; });
  return after != ranges.begin() && std::prev(after)->second >= character;
}

}  // namespace

CharacterRanges normalized(CharacterRanges ranges) {
  std::sort(ranges.begin(), ranges.end());
  CharacterRanges joined;
  const auto add = [&](char32_t first, char32_t last) {
    if (first > last) return;
    if (!joined.empty() && joined.back().second + 1 >= first) {
      joined.back().second = std::max(joined.back().second, last);
    } else {
      joined.emplace_back(first, last);
    }
  };
  for (const auto &[first, last] : ranges) {
    add(first, std::min<char32_t>(last, kFirstSurrogate - 1));
    add(std::max<char32_t>(first, kLastSurrogate + 1), std::min(last, kLastCharacter));
  }
  return joined;
}

CharacterRanges complement(const CharacterRanges &ranges) {
  CharacterRanges others;
  char32_t next = 0;
  for (const auto &[first, last] : ranges) {
    if (first > next) others.emplace_back(next, first - 1);
    next = last + 1;
  }
  if (next <= kLastCharacter) others.emplace_back(next, kLastCharacter);
  return normalized(std::move(others));
}

CharacterRanges all_characters() { return normalized({{0, kLastCharacter}}); }

bool Automaton::accepts(std::u32string_view text) const {
  if (states.empty()) return false;
  size_t at = 0;
  for (const char32_t character : text) {
    const auto &next = states[at].next;
    const auto found =
        std::find_if(next.begin(), next.end(), [&](const auto &one) { return has_character(one.first, character); });
    if (found == next.end()) return false;
    at = found->second;
  }
  return states[at].accepts;
}

RegexBuilder::RegexBuilder() {
  made({Kind::nothing}, false);
  made({Kind::empty}, true);
  made({Kind::except, {nothing()}}, true);
}

RegexBuilder::Id RegexBuilder::made(Node node, bool accepts_empty) {
  const auto [found, is_new] = known_.try_emplace(node, static_cast<Id>(nodes_.size()));
  if (is_new) {
    nodes_.push_back(std::move(node));
    accepts_empty_.push_back(accepts_empty);
  }
  return found->second;
}

RegexBuilder::Id RegexBuilder::characters(CharacterRanges ranges) {
  ranges = normalized(std::move(ranges));
  if (ranges.empty()) return nothing();
  return made({.kind = Kind::characters, .ranges = std::move(ranges)}, false);
}

RegexBuilder::Id RegexBuilder::literal(std::u32string_view text) {
  std::vector<Id> parts;
  for (const char32_t character : text) parts.push_back(characters({{character, character}}));
  return sequence(parts);
}

RegexBuilder::Id RegexBuilder::sequence(const std::vector<Id> &parts) {
  Id whole = empty();
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) whole = sequence(*part, whole);
  return whole;
}

RegexBuilder::Id RegexBuilder::sequence(Id first, Id second) {
  if (first == nothing() || second == nothing()) return nothing();
  if (first == empty()) return second;
  if (second == empty()) return first;
  if (first == any_text() && second == any_text()) return any_text();
  // Always one part and the rest, so that equal sequences are the same.
  std::vector<Id> parts;
  for (; nodes_[first].kind == Kind::sequence; first = nodes_[first].parts[1]) parts.push_back(nodes_[first].parts[0]);
  parts.push_back(first);
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    second = made({Kind::sequence, {*part, second}}, accepts_empty_[*part] && accepts_empty_[second]);
  }
  return second;
}

std::vector<RegexBuilder::Id> RegexBuilder::flat(Kind kind, const std::vector<Id> &parts) const {
  std::vector<Id> all;
  for (const Id part : parts) {
    if (nodes_[part].kind == kind) {
      all.insert(all.end(), nodes_[part].parts.begin(), nodes_[part].parts.end());
    } else {
      all.push_back(part);
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

RegexBuilder::Id RegexBuilder::either(std::vector<Id> parts) {
  CharacterRanges ranges;
  std::vector<Id> others;
  for (const Id part : flat(Kind::either, parts)) {
    if (part == any_text()) return any_text();
    if (part == nothing()) continue;
    if (nodes_[part].kind == Kind::characters) {
      ranges.insert(ranges.end(), nodes_[part].ranges.begin(), nodes_[part].ranges.end());
    } else {
      others.push_back(part);
    }
  }
  if (!ranges.empty()) others.push_back(characters(std::move(ranges)));
  others = flat(Kind::either, others);
  if (others.empty()) return nothing();
  if (others.size() == 1) return others.front();
  const bool accepts = std::any_of(others.begin(), others.end(), [&](Id part) { return accepts_empty_[part]; });
  return made({Kind::either, std::move(others)}, accepts);
}

RegexBuilder::Id RegexBuilder::both(std::vector<Id> parts) {
  std::vector<Id> others;
  for (const Id part : flat(Kind::both, parts)) {
    if (part == nothing()) return nothing();
    if (part != any_text()) others.push_back(part);
  }
  if (others.empty()) return any_text();
  if (others.size() == 1) return others.front();
  const bool accepts = std::all_of(others.begin(), others.end(), [&](Id part) { return accepts_empty_[part]; });
  return made({Kind::both, std::move(others)}, accepts);
}

RegexBuilder::Id RegexBuilder::except(Id part) {
  if (nodes_[part].kind == Kind::except) return nodes_[part].parts.front();
  return made({Kind::except, {part}}, !accepts_empty_[part]);
}

RegexBuilder::Id RegexBuilder::repeated(Id part, uint64_t least, uint64_t most) {
  if (most < least) return nothing();
  if (most == 0 || part == empty()) return empty();
  if (part == nothing()) return least == 0 ? empty() : nothing();
  if (accepts_empty_[part]) least = 0;
  if (least == 1 && most == 1) return part;
  if (part == any_text()) return any_text();
  return made({Kind::repeated, {part}, least, most}, least == 0);
}

RegexBuilder::Id RegexBuilder::derivative(Id expression, char32_t character, int depth) {
  const auto known = derivatives_.find({expression, character});
  if (known != derivatives_.end()) return known->second;
  if (depth > kDeepestDerivative || steps_left_ == 0) throw TooManySteps();
  --steps_left_;
  // A copy: making expressions moves the others.
  const Node node = nodes_[expression];
  const auto of = [&](Id part) { return derivative(part, character, depth + 1); };
  std::vector<Id> parts;
  Id made = nothing();
  switch (node.kind) {
    case Kind::nothing:
    case Kind::empty:
      break;
    case Kind::characters:
      made = has_character(node.ranges, character) ? empty() : nothing();
      break;
    case Kind::sequence:
      made = sequence(of(node.parts[0]), node.parts[1]);
      if (accepts_empty_[node.parts[0]]) made = either({made, of(node.parts[1])});
      break;
    case Kind::either:
    case Kind::both:
      steps_left_ -= std::min<uint64_t>(steps_left_, node.parts.size());
      for (const Id part : node.parts) parts.push_back(of(part));
      made = node.kind == Kind::either ? either(std::move(parts)) : both(std::move(parts));
      break;
    case Kind::except:
      made = except(of(node.parts[0]));
      break;
    case Kind::repeated: {
      const uint64_t least = node.least == 0 ? 0 : node.least - 1;
      const uint64_t most = node.most == kUnlimited ? kUnlimited : node.most - 1;
      made = sequence(of(node.parts[0]), repeated(node.parts[0], least, most));
      break;
    }
  }
  derivatives_[{expression, character}] = made;
  return made;
}

std::vector<std::pair<char32_t, CharacterRanges>> RegexBuilder::alphabet() const {
  std::set<char32_t> begins = {0, kLastSurrogate + 1};
  std::vector<const CharacterRanges *> sets;
  for (const Node &node : nodes_) {
    if (node.kind != Kind::characters) continue;
    sets.push_back(&node.ranges);
    for (const auto &[first, last] : node.ranges) {
      begins.insert(first);
      if (last < kLastCharacter) begins.insert(last + 1);
    }
  }
  // Pieces that are in the same sets are one kind.
  std::map<std::vector<bool>, std::pair<char32_t, CharacterRanges>> kinds;
  for (auto begin = begins.begin(); begin != begins.end(); ++begin) {
    const auto after = std::next(begin);
    const CharacterRanges piece = normalized({{*begin, after == begins.end() ? kLastCharacter : *after - 1}});
    if (piece.empty()) continue;
    std::vector<bool> in;
    for (const CharacterRanges *set : sets) in.push_back(has_character(*set, piece.front().first));
    auto &kind = kinds.try_emplace(in, piece.front().first, CharacterRanges()).first->second;
    kind.second.insert(kind.second.end(), piece.begin(), piece.end());
  }
  std::vector<std::pair<char32_t, CharacterRanges>> all;
  for (auto &[in, kind] : kinds) all.emplace_back(kind.first, normalized(std::move(kind.second)));
  return all;
}

std::optional<Automaton> RegexBuilder::automaton(Id expression, size_t most_states) {
  steps_left_ = kMostDerivatives;
  derivatives_.clear();
  const auto kinds = alphabet();
  std::vector<Id> expressions = {expression};
  std::map<Id, uint32_t> numbers = {{expression, 0}};
  std::vector<Automaton::State> states;
  try {
    for (size_t i = 0; i < expressions.size(); ++i) {
      std::map<uint32_t, CharacterRanges> next;
      for (const auto &[character, ranges] : kinds) {
        const Id after = derivative(expressions[i], character, 0);
        if (after == nothing()) continue;
        const auto [found, is_new] = numbers.try_emplace(after, static_cast<uint32_t>(expressions.size()));
        if (is_new) expressions.push_back(after);
        if (expressions.size() > most_states) return std::nullopt;
        CharacterRanges &whole = next[found->second];
        whole.insert(whole.end(), ranges.begin(), ranges.end());
      }
      Automaton::State &state = states.emplace_back();
      state.accepts = accepts_empty_[expressions[i]];
      for (auto &[target, ranges] : next) state.next.emplace_back(normalized(std::move(ranges)), target);
    }
  } catch (const TooManySteps &) {
    return std::nullopt;
  }
  // Which states can reach an accepting one, backwards from those.
  std::vector<std::vector<uint32_t>> before(states.size());
  for (uint32_t i = 0; i < states.size(); ++i) {
    for (const auto &[ranges, target] : states[i].next) before[target].push_back(i);
  }
  std::vector<bool> is_alive(states.size());
  std::vector<uint32_t> left;
  const auto revive = [&](uint32_t state) {
    if (is_alive[state]) return;
    is_alive[state] = true;
    left.push_back(state);
  };
  for (uint32_t i = 0; i < states.size(); ++i) {
    if (states[i].accepts) revive(i);
  }
  while (!left.empty()) {
    const uint32_t state = left.back();
    left.pop_back();
    for (const uint32_t one : before[state]) revive(one);
  }
  Automaton made;
  if (!is_alive[0]) return made;
  std::vector<uint32_t> renumbered(states.size());
  uint32_t count = 0;
  for (uint32_t i = 0; i < states.size(); ++i) renumbered[i] = is_alive[i] ? count++ : 0;
  for (uint32_t i = 0; i < states.size(); ++i) {
    if (!is_alive[i]) continue;
    Automaton::State &state = made.states.emplace_back();
    state.accepts = states[i].accepts;
    for (auto &[ranges, target] : states[i].next) {
      if (is_alive[target]) state.next.emplace_back(std::move(ranges), renumbered[target]);
    }
  }
  return made;
}

}  // namespace se
