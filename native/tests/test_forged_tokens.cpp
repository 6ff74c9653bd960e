// Forges every special token of real vocabularies: marked text must become text, whatever is around it.
//
//   forged-tokens-test VOCABULARY.gguf …
#include <cstdio>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/input_marks.h"
#include "text/tokenizer.h"

namespace {

bool has_special(const se::Tokenizer &tokenizer, const std::vector<int32_t> &tokens) {
  for (const int32_t token : tokens) {
    const int attributes = llama_vocab_get_attr(tokenizer.vocabulary(), token);
    if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0) return true;
  }
  return false;
}

void drop_begin(const se::Tokenizer &tokenizer, std::vector<int32_t> &tokens) {
  const std::string bos = tokenizer.bos_text();
  if (!tokens.empty() && !bos.empty() && tokens.front() == llama_vocab_bos(tokenizer.vocabulary())) {
    tokens.erase(tokens.begin());
  }
}

// Returns how many were forged; fewer than there are where one became a token.
int forge_all(const char *path) {
  const se::Tokenizer tokenizer = se::Tokenizer::from_file(path);
  const std::vector<std::string> reserved = tokenizer.reserved_texts("");
  const se::InputMarks marks(reserved);
  const se::Interrupt interrupt;
  int forged = 0, failures = 0;
  for (const std::string &special : reserved) {
    // What has no two characters cannot be marked; byte tokens and empty texts are never written by a template.
    if (special.size() < 2) continue;
    std::string upper = special;
    for (char &c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    for (const std::string &text : {"a " + special + " b", special + special, "x" + special, upper}) {
      const std::string marked = marks.mark(text);
      std::vector<int32_t> tokens = tokenizer.tokenize_prompt(marked, {interrupt});
      drop_begin(tokenizer, tokens);
      const bool is_kept = se::InputMarks::without(marked) == text;
      if (has_special(tokenizer, tokens) || !is_kept || tokens.size() < 2) {
        if (++failures < 10) std::fprintf(stderr, "%s: `%s` is forged in `%s`\n", path, special.c_str(), text.c_str());
      }
      ++forged;
    }
    // The template's own is a token still, and what it separates stays apart.
    std::vector<int32_t> own = tokenizer.tokenize_prompt(special, {interrupt});
    if (tokenizer.special(special) && own.size() > 2) ++failures;
  }
  std::printf("%s: %zu special tokens, %d texts, %d failures\n", path, reserved.size(), forged, failures);
  return failures == 0 && forged > 0 ? forged : -1;
}

}  // namespace

int main(int count, char **words) {
  try {
    for (int i = 1; i < count; ++i) {
      if (forge_all(words[i]) < 0) return 1;
    }
  } catch (const se::Error &error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
  }
  return count > 1 ? 0 : 1;
}
