// Tests of the way out: UTF-8 in pieces of bytes, and stop strings that span pieces.
#include <cstdio>
#include <string>
#include <vector>

#include "base/utf8.h"
#include "check.h"
#include "text/output_stream.h"

namespace {

// Feeds `bytes` in pieces of `size` bytes and returns everything that came out.
std::string through(const std::string &bytes, size_t size, const std::vector<std::string> &stops) {
  std::string out;
  se::Answer answer(stops, [&](std::string_view piece) {
    CHECK(!piece.empty());
    CHECK(se::to_utf8(piece) == piece);
    out += piece;
    return true;
  });
  for (size_t i = 0; i < bytes.size(); i += size) {
    if (!answer.add(bytes.substr(i, size))) return out;
  }
  answer.finish();
  return out;
}

void characters_stay_whole() {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x90\xA1z";
  for (size_t size = 1; size <= text.size(); ++size) CHECK(through(text, size, {}) == text);
}

// Expected as CPython's bytes.decode("utf-8", "replace") gives it.
void wrong_bytes_become_replacements() {
  const std::string mark = "\xEF\xBF\xBD";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\x80", mark},
      {"a\xFFz", "a" + mark + "z"},
      {"\xC3", mark},
      {"\xE2\x82", mark},
      {"\xE2\x82z", mark + "z"},
      {"\xF0\x9F\x90", mark},
      {"\xC0\xAF", mark + mark},
      {"\xED\xA0\x80", mark + mark + mark},
      {"\xF4\x90\x80\x80", mark + mark + mark + mark},
      {"\xF0\x80\x80\x80", mark + mark + mark + mark},
      {"\xE2\xE2\x82\xAC", mark + "\xE2\x82\xAC"},
  };
  for (const auto &[bytes, wanted] : cases) {
    CHECK(se::to_utf8(bytes) == wanted);
    for (size_t size = 1; size <= bytes.size(); ++size) CHECK(through(bytes, size, {}) == wanted);
  }
}

void the_first_stop_string_ends_the_answer() {
  for (size_t size = 1; size <= 20; ++size) {
    CHECK(through("one two three four", size, {"three"}) == "one two ");
    CHECK(through("one two three four", size, {"four", "two"}) == "one ");
    CHECK(through("aaab", size, {"aab"}) == "a");
    CHECK(through("thre", size, {"three"}) == "thre");
    CHECK(through("th\xC3\xA9 end", size, {"\xC3\xA9 e"}) == "th");
    CHECK(through("same", size, {"same"}).empty());
  }
}

void a_refusal_is_remembered() {
  int calls = 0;
  se::Answer answer({}, [&](std::string_view) { return ++calls < 2; });
  answer.add("one");
  CHECK(!answer.refused());
  answer.add("two");
  CHECK(answer.refused());
  answer.add("three");
  CHECK(calls == 2);
}

}  // namespace

int main() {
  characters_stay_whole();
  wrong_bytes_become_replacements();
  the_first_stop_string_ends_the_answer();
  a_refusal_is_remembered();
  std::puts("answer: passed");
  return 0;
}
