// Compiles expressions to a small program and runs it with backtracking, with limits on size, time and memory
// (docs/decisions/0008-own-pattern-engine.md).
#include "text/pattern.h"

#include <algorithm>

#include "base/status.h"

namespace se {
namespace {

constexpr size_t kWithoutEnd = SIZE_MAX;
constexpr size_t kMostRepeats = 64;
constexpr size_t kMostGroups = 32;
constexpr size_t kMostInstructions = 1 << 14;
// For each character of a text; expressions of real tokenizers take a few dozen.
constexpr size_t kStepsPerCharacter = 1 << 12;
// Positions to go back to, 24 bytes each; expressions of real tokenizers need a few at a time.
constexpr size_t kMostChoices = 1 << 21;
constexpr const char *kHint = "a GGUF of the model brings its own tokenizer";

}  // namespace

bool CharacterSet::has(char32_t code) const {
  const auto is_within = [code](const auto &range) { return code >= range.first && code <= range.second; };
  bool found = std::any_of(ranges.begin(), ranges.end(), is_within);
  found = found || (categories != 0 && (unicode::category(code) & categories) != 0);
  if (!found && (has_spaces || has_others_than_spaces)) {
    found = unicode::is_space(code) ? has_spaces : has_others_than_spaces;
  }
  return found != is_negated;
}

// Recursive descent over the expression; each function returns the program of its part.
class PatternParser {
 public:
  using Operation = Pattern::Operation;
  using Program = std::vector<Pattern::Instruction>;

  PatternParser(std::u32string_view rest, std::vector<CharacterSet> &sets) : rest_(rest), sets_(sets) {}

  Program parse() {
    Program program = alternatives();
    if (!rest_.empty()) fail("a closing parenthesis without an opening one");
    program.push_back({Operation::done});
    return program;
  }

 private:
  [[noreturn]] static void fail(const std::string &what) { throw Error(SE_UNSUPPORTED, what); }

  bool take(std::u32string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  char32_t next() {
    if (rest_.empty()) fail("an end where something must follow");
    const char32_t code = rest_.front();
    rest_.remove_prefix(1);
    return code;
  }

  static void append(Program &program, const Program &more) {
    if (program.size() + more.size() > kMostInstructions) fail("more than can be matched");
    program.insert(program.end(), more.begin(), more.end());
  }

  static int32_t distance(size_t instructions) { return static_cast<int32_t>(instructions); }

  Program alternatives() {
    Program first = sequence();
    while (take(U"|")) {
      const Program other = sequence();
      // split first, jump behind, other
      Program both{{Operation::split, distance(first.size() + 2)}};
      append(both, first);
      both.push_back({Operation::jump, distance(other.size() + 1)});
      append(both, other);
      // A longer chain of alternatives nests on its left, which keeps their order.
      first = std::move(both);
    }
    return first;
  }

  Program sequence() {
    Program program;
    while (!rest_.empty() && rest_.front() != U'|' && rest_.front() != U')') append(program, repeated(atom()));
    return program;
  }

  Program atom() {
    if (take(U"(")) return group();
    if (take(U"[")) return one(character_class());
    if (take(U".")) {
      CharacterSet any;
      any.is_negated = true;
      any.ranges = {{U'\n', U'\n'}};
      return one(any);
    }
    if (take(U"$")) return {{Operation::line_end}};
    if (take(U"\\")) {
      CharacterSet set;
      escaped(set);
      return one(set);
    }
    const char32_t code = next();
    if (code == U'^' || code == U'*' || code == U'+' || code == U'?' || code == U'{') fail("a sign that is not known");
    CharacterSet set;
    add(set, code, code);
    return one(set);
  }

  Program one(const CharacterSet &set) {
    sets_.push_back(set);
    return {{Operation::run, 0, static_cast<uint32_t>(sets_.size() - 1), 1, 1}};
  }

  Program group() {
    if (++depth_ > kMostGroups) fail("groups nested too deeply");
    const bool ignored_case = ignores_case_;
    std::optional<Operation> apart;
    if (take(U"?=")) {
      apart = Operation::look;
    } else if (take(U"?!")) {
      apart = Operation::look_not;
    } else if (take(U"?>")) {
      apart = Operation::atomic;
    } else if (take(U"?i:")) {
      ignores_case_ = true;
    } else if (!take(U"?:") && rest_.starts_with(U"?")) {
      fail("a kind of group that is not known");
    }
    Program program = alternatives();
    if (!take(U")")) fail("an opening parenthesis without a closing one");
    ignores_case_ = ignored_case;
    --depth_;
    return apart ? separate(*apart, program) : program;
  }

  static Program separate(Operation operation, const Program &inner) {
    Program program{{operation, distance(inner.size() + 2)}};
    append(program, inner);
    program.push_back({Operation::done});
    return program;
  }

  Program repeated(const Program &atom) {
    size_t least = 1, most = 1;
    if (take(U"*")) {
      least = 0;
      most = kWithoutEnd;
    } else if (take(U"+")) {
      most = kWithoutEnd;
    } else if (take(U"?")) {
      least = 0;
    } else if (take(U"{")) {
      least = number();
      most = !take(U",") ? least : rest_.starts_with(U"}") ? kWithoutEnd : number();
      if (!take(U"}") || most < least) fail("a number of repeats that is not known");
      if (rest_.starts_with(U"+")) fail("a repeat of a repeat");
    } else {
      return atom;
    }
    if (rest_.starts_with(U"?")) fail("a repeat that takes as little as it can");
    const bool keeps = take(U"+");
    const Program program = times(atom, least, most);
    return keeps ? separate(Operation::atomic, program) : program;
  }

  static Program times(const Program &atom, size_t least, size_t most) {
    if (atom.size() == 1 && atom[0].operation == Operation::run && atom[0].least == 1 && atom[0].most == 1) {
      return {{Operation::run, 0, atom[0].set, least, most}};
    }
    Program program;
    for (size_t i = 0; i < least; ++i) append(program, atom);
    if (most == kWithoutEnd) {
      program.push_back({Operation::split, distance(atom.size() + 2)});
      append(program, atom);
      program.push_back({Operation::jump, -distance(atom.size() + 1)});
      return program;
    }
    for (size_t i = least; i < most; ++i) {
      program.push_back({Operation::split, distance((atom.size() + 1) * (most - i))});
      append(program, atom);
    }
    return program;
  }

  size_t number() {
    size_t value = 0;
    if (rest_.empty() || rest_.front() < U'0' || rest_.front() > U'9') fail("a number of repeats that is not known");
    while (!rest_.empty() && rest_.front() >= U'0' && rest_.front() <= U'9') {
      value = 10 * value + (next() - U'0');
      if (value > kMostRepeats) fail("too many repeats");
    }
    return value;
  }

  CharacterSet character_class() {
    CharacterSet set;
    set.is_negated = take(U"^");
    do {
      if (rest_.starts_with(U"[") || rest_.starts_with(U"&&")) fail("a set of characters within another");
      std::optional<char32_t> first = member(set);
      if (!first || !rest_.starts_with(U"-") || rest_.starts_with(U"-]")) {
        if (first) add(set, *first, *first);
        continue;
      }
      next();
      const std::optional<char32_t> last = member(set);
      if (!last || *last < *first) fail("a range of characters without an end");
      add(set, *first, *last);
    } while (!take(U"]"));
    return set;
  }

  // A character of a set; nothing if it was a class, which is added to the set.
  std::optional<char32_t> member(CharacterSet &set) {
    if (take(U"\\")) return escaped(set, true);
    return next();
  }

  // What follows a backslash: a class is added to `set`, and so is a character unless it is a `member`.
  std::optional<char32_t> escaped(CharacterSet &set, bool member = false) {
    const char32_t code = next();
    switch (code) {
      case U's':
        set.has_spaces = true;
        return std::nullopt;
      case U'S':
        set.has_others_than_spaces = true;
        return std::nullopt;
      case U'd':
        set.categories |= *unicode::categories("Nd");
        return std::nullopt;
      case U'p':
      case U'P':
        property(set, code == U'P');
        return std::nullopt;
      default:
        break;
    }
    const char32_t meant = code == U'n' ? U'\n' : code == U'r' ? U'\r' : code == U't' ? U'\t' : code;
    const bool is_letter =
        (code >= U'a' && code <= U'z') || (code >= U'A' && code <= U'Z') || (code >= U'0' && code <= U'9');
    if (meant == code && is_letter) fail("an escape that is not known");
    if (!member) add(set, meant, meant);
    return meant;
  }

  void property(CharacterSet &set, bool is_negated) {
    if (!take(U"{")) fail("a property without its name");
    is_negated = take(U"^") != is_negated;
    std::string name;
    while (!take(U"}")) unicode::append_utf8(name, next());
    const std::optional<unicode::CategorySet> found = unicode::categories(name);
    if (!found) fail("the property " + name.substr(0, 40));
    set.categories |= is_negated ? ~*found : *found;
  }

  void add(CharacterSet &set, char32_t first, char32_t last) const {
    set.ranges.push_back({first, last});
    if (!ignores_case_) return;
    for (char32_t code = U'a'; code <= U'z'; ++code) {
      const char32_t capital = code - U'a' + U'A';
      if (code >= first && code <= last) set.ranges.push_back({capital, capital});
      if (capital >= first && capital <= last) set.ranges.push_back({code, code});
    }
    // The long s and the sign of Kelvin are small letters of S and K, too.
    for (const auto &[code, other] : {std::pair(U's', U'\u017F'), std::pair(U'k', U'\u212A')}) {
      if (first == last && (first == code || first == code - U'a' + U'A')) set.ranges.push_back({other, other});
    }
  }

  std::u32string_view rest_;
  std::vector<CharacterSet> &sets_;
  bool ignores_case_ = false;
  size_t depth_ = 0;
};

Pattern::Pattern(std::string_view expression) : expression_(expression) {
  const std::u32string codes = unicode::decoded(expression);
  try {
    program_ = PatternParser(codes, sets_).parse();
  } catch (const Error &error) {
    throw Error(SE_UNSUPPORTED,
                "the tokenizer's expression " + ticked(expression_.substr(0, 200)) + " has " + error.what(), kHint);
  }
}

std::vector<size_t> Pattern::ends(std::u32string_view text) const {
  std::vector<size_t> found;
  size_t begin = 0;
  Run run{text, (text.size() + 1) * kStepsPerCharacter, 0};
  for (size_t at = 0; at < text.size();) {
    const std::optional<size_t> end = match(run, at, 0);
    if (!end || *end == at) {
      ++at;
      continue;
    }
    if (at > begin) found.push_back(at);
    found.push_back(*end);
    begin = at = *end;
  }
  if (begin < text.size()) found.push_back(text.size());
  return found;
}

void Pattern::refuse(const char *problem) const {
  throw Error(
      SE_UNSUPPORTED,
      "the tokenizer's expression " + ticked(expression_.substr(0, 200)) + " takes too " + problem + " on this text",
      kHint);
}

std::optional<size_t> Pattern::match(Run &run, size_t begin, size_t program) const {
  // Where to continue after a mismatch: at `next` with `at` characters read, or fewer down to `least`.
  struct Choice {
    size_t next, at, least;
  };
  std::vector<Choice> choices;
  const auto choose = [&](Choice choice) {
    if (++run.choices > kMostChoices) refuse("much memory");
    choices.push_back(choice);
  };
  const std::u32string_view text = run.text;
  size_t next = program, at = begin;
  for (;;) {
    if (run.steps-- == 0) refuse("long");
    const Instruction &now = program_[next];
    const size_t target = next + static_cast<size_t>(static_cast<ptrdiff_t>(now.target));
    bool fits = true;
    switch (now.operation) {
      case Operation::run: {
        const CharacterSet &set = sets_[now.set];
        const size_t least = at + now.least;
        const size_t most = now.most > text.size() - at ? text.size() : at + now.most;
        size_t end = at;
        while (end < most && set.has(text[end])) ++end;
        run.steps -= std::min(run.steps, end - at);
        fits = end >= least;
        if (fits && end > least) choose({next + 1, end - 1, least});
        at = end;
        ++next;
        break;
      }
      case Operation::split:
        choose({target, at, at});
        ++next;
        break;
      case Operation::jump:
        next = target;
        break;
      case Operation::look:
      case Operation::look_not:
        fits = match(run, at, next + 1).has_value() == (now.operation == Operation::look);
        next = target;
        break;
      case Operation::atomic: {
        const std::optional<size_t> end = match(run, at, next + 1);
        fits = end.has_value();
        at = end.value_or(at);
        next = target;
        break;
      }
      case Operation::line_end:
        fits = at == text.size() || text[at] == U'\n';
        ++next;
        break;
      case Operation::done:
        run.choices -= choices.size();
        return at;
    }
    if (fits) continue;
    if (choices.empty()) return std::nullopt;
    Choice &choice = choices.back();
    next = choice.next;
    at = choice.at;
    if (choice.at > choice.least) {
      --choice.at;
    } else {
      choices.pop_back();
      --run.choices;
    }
  }
}

}  // namespace se
