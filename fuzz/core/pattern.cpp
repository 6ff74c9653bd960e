// A regular expression out of a tokenizer, and a text that it splits: a line each.
#include "text/pattern.h"
#include "base/utf8.h"
#include "target.h"
#include "text/unicode.h"

namespace {

const Target pattern_target("pattern", [](const std::string &data) {
  const size_t end = data.find('\n');
  const se::Pattern pattern(data.substr(0, end));
  std::u32string text = U"It's 12,345  naïve 漢字\r\n\t!";
  if (end != std::string::npos) text.append(data.begin() + static_cast<ptrdiff_t>(end), data.end());
  pattern.ends(text);
});

}  // namespace
