// Where a long text may be cut so that its pieces have the tokens of the whole.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace se {

// Whether both sides of a cut have, each for itself, the tokens that they have together.
using SameTokens = std::function<bool(std::string_view left, std::string_view right)>;

// A text of more bytes is divided: some hundredths of a second on a small board.
inline constexpr size_t kPieceBytes = 1 << 15;

// The end of the piece that begins at `begin`: of about kPieceBytes where the text can be cut there, else at the next
// place, at last the end of the text. Tokens are compared within some hundred bytes of the cut: what a tokenizer joins
// is shorter, and all that it does behind a newline or a space between words depends on less.
size_t piece_end(std::string_view text, size_t begin, const SameTokens &same);

}  // namespace se
