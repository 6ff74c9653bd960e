// Tests of OutputStream: UTF-8 in pieces of bytes, and stop strings that span pieces.
#include <cstdio>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/utf8.h"
#include "check.h"
#include "text/output_stream.h"

namespace {

// Adds `bytes` in pieces of `size` bytes and returns all output.
std::string through(const std::string &bytes, size_t size, const std::vector<std::string> &stops) {
  std::string out;
  se::OutputStream output(stops, [&](std::string_view piece) {
    CHECK(!piece.empty());
    CHECK(se::to_utf8(piece) == piece);
    out += piece;
    return true;
  });
  for (size_t i = 0; i < bytes.size(); i += size) {
    if (!output.add(bytes.substr(i, size))) return out;
  }
  output.finish();
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

void the_first_stop_string_ends_the_output() {
  for (size_t size = 1; size <= 20; ++size) {
    CHECK(through("one two three four", size, {"three"}) == "one two ");
    CHECK(through("one two three four", size, {"four", "two"}) == "one ");
    CHECK(through("aaab", size, {"aab"}) == "a");
    CHECK(through("thre", size, {"three"}) == "thre");
    CHECK(through("th\xC3\xA9 end", size, {"\xC3\xA9 e"}) == "th");
    CHECK(through("same", size, {"same"}).empty());
  }
}

bool is_cancelled(const se::OutputStream &output) {
  try {
    output.check();
  } catch (const se::Error &error) {
    return error.status == SE_CANCELLED;
  }
  return false;
}

void a_cancelled_stream_stays_cancelled() {
  int calls = 0;
  se::OutputStream output({}, [&](std::string_view) { return ++calls < 2; });
  output.add("one");
  output.check();
  output.add("two");
  CHECK(is_cancelled(output));
  output.add("three");
  CHECK(calls == 2);
  CHECK(is_cancelled(output));
}

}  // namespace

int main() {
  characters_stay_whole();
  wrong_bytes_become_replacements();
  the_first_stop_string_ends_the_output();
  a_cancelled_stream_stays_cancelled();
  std::puts("output stream: passed");
  return 0;
}
