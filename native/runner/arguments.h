// The runner's command line: a command, its arguments and its options, checked before anything is opened.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace runner {

// The words do not make sense; exit code 64 (EX_USAGE of sysexits.h).
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Option {
  std::string name;   // "--threads"
  std::string value;  // what stands for the value in the help, "N"; empty: a switch
  std::string help;
};

class Arguments {
 public:
  // Throws UsageError at an unknown option, a missing value, or more than `most_words` words.
  Arguments(const std::vector<std::string> &words, const std::vector<Option> &options, size_t most_words);

  // Word `index`; UsageError naming `what` if it is missing.
  const std::string &word(size_t index, const std::string &what) const;
  std::optional<std::string> optional_word(size_t index) const;
  bool has(const std::string &option) const { return values_.contains(option); }
  std::optional<std::string> text(const std::string &option) const;
  std::vector<std::string> texts(const std::string &option) const;
  int64_t number(const std::string &option, int64_t otherwise, int64_t least, int64_t most) const;
  float real(const std::string &option, float otherwise) const;
  // A list such as "128,512".
  std::vector<int32_t> numbers(const std::string &option, std::vector<int32_t> otherwise, int32_t least,
                               int32_t most) const;

 private:
  std::vector<std::string> words_;
  std::map<std::string, std::vector<std::string>> values_;
};

}  // namespace runner
