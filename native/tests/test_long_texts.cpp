// Long texts have the same tokens in pieces as at once, by real vocabularies, and can be stopped between them.
//
//   long-texts-test VOCABULARY.gguf …
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/text_pieces.h"
#include "text/tokenizer.h"

namespace {

constexpr size_t kLength = 3 * se::kPieceBytes;

// What texts are made of, by kind: prose, code, other scripts, and all that tokenizers treat apart.
const std::vector<std::vector<std::string>> kKinds = {
    {"The", " sky", " is", " blue", ", and", " don't", " it's", ".\n", "\n\n", " 1984", ". ", " we'll", "\nWhy",
     "!\r\n"},
    {"def f(x):\n", "    return x\n", "\n", "\t\tif (a[i] == 10) {\n", "}\n", "// https://example.org/a?b=c\n",
     "        ", "x += 1;\n", "\r\n", "\"it's\"", " != ", "\n\n\n"},
    {"天空是蓝色的。", "\n", "空が青い", "하늘은 파랗다", " ", "Небо", " голубое", ".\n", "السماء", "e\u0301", "\u0301",
     "\u00a0", "\u3000", "\u2028", "नीला", "🙂", "🏳️‍🌈", "ﬁ"},
    {" ",   "  ",  "\n", "a",  "1",  "22", "333", "4444", "_",          "-",   "\t",   " \n",
     "\n ", "Z",   "é",  "'s", "'S", ".",  "...", "\r",   "<|im_end|>", "<s>", "</s>", "<|endoftext|>",
     "\nA", " a b"},
};

std::string text_of(const std::vector<std::string> &parts, uint64_t state) {
  std::string text;
  while (text.size() < kLength) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    text += parts[(state >> 33) % parts.size()];
  }
  return text;
}

int compare_all(const char *path) {
  const se::Tokenizer tokenizer = se::Tokenizer::from_file(path);
  const se::Interrupt interrupt;
  int texts = 0, failures = 0;
  for (const auto &kind : kKinds) {
    const bool with_special = texts % 2 == 1;
    const std::string text = text_of(kind, static_cast<uint64_t>(texts));
    const auto whole = tokenizer.tokenize(text, with_special, with_special);
    if (tokenizer.tokenize(text, with_special, with_special, {interrupt}) != whole) ++failures;
    const size_t few = tokenizer.tokenize(text, with_special, with_special, {interrupt, 10}).size();
    if (few <= 10 || few >= whole.size()) ++failures;
    ++texts;
  }
  // Where nothing can be cut, what is too long is seen without joining all of it.
  const std::string unbroken(6 * se::kPieceBytes, 'x');
  if (tokenizer.tokenize(unbroken, true, true, {interrupt}) != tokenizer.tokenize(unbroken, true, true)) ++failures;
  const size_t some = tokenizer.tokenize(unbroken, true, true, {interrupt, 100}).size();
  if (some <= 100 || some > se::kPieceBytes) ++failures;
  const std::string marks = text_of({"!", "?", "x"}, 7) + text_of({"!", "?", "x"}, 8);
  for (const std::string &text : {unbroken, marks}) {
    const auto all = tokenizer.tokenize(text, true, false);
    const auto first = tokenizer.tokenize(text, true, false, {interrupt, 100, true});
    const size_t count = std::min<size_t>(100, all.size());
    if (first.size() < count || !std::equal(all.begin(), all.begin() + count, first.begin())) ++failures;
    if (first.back() != all.back()) ++failures;
  }
  std::printf("%s: %d texts, %d failures\n", path, texts, failures);
  return failures;
}

bool stops(const char *path) {
  const se::Tokenizer tokenizer = se::Tokenizer::from_file(path);
  se::Interrupt interrupt;
  interrupt.arm(0, 0);
  interrupt.cancel();
  try {
    tokenizer.tokenize(text_of(kKinds[0], 1), true, true, {interrupt});
  } catch (const se::Error &error) {
    return error.status == SE_CANCELLED;
  }
  return false;
}

}  // namespace

int main(int count, char **words) {
  try {
    int failures = 0;
    for (int i = 1; i < count; ++i) failures += compare_all(words[i]);
    return count > 1 && failures == 0 && stops(words[1]) ? 0 : 1;
  } catch (const se::Error &error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
  }
}
