// A bundle's reference: tokens, steps and rows of logits, as sphere_edge/bundle/reference.py writes them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace runner {

// The reference logits after the first `position` tokens.
struct ReferenceRow {
  std::vector<float> values;  // at the reference's columns
  int32_t token;              // the likeliest
  double margin;              // over the second likeliest
  double log_sum_exp;         // over all columns
};

// Logits after tokens[:length], followed by detour[:detour], which has no row to compare with.
struct ReferenceStep {
  std::string name;
  size_t length;
  size_t detour;
  bool from_empty;  // clear the KV cache first
  bool score;       // by the function that returns every row
  bool is_short;    // part of the short form
};

struct Reference {
  size_t vocabulary;  // tokens of the tokenizer; rows may be longer
  std::vector<int32_t> tokens;
  std::vector<int32_t> detour;
  std::vector<size_t> columns;
  std::map<size_t, ReferenceRow> rows;
  std::vector<ReferenceStep> steps;
  size_t trace_tokens;
};

// Reads `folder`/reference.json and logits.f32. Failure: missing, or it contradicts itself.
Reference read_reference(const std::string &folder);

}  // namespace runner
