// What one call computes with: the engine it shares with others, its sequence of it, and its interrupt.
#pragma once

#include "base/interrupt.h"
#include "engines/engine.h"
#include "text/scheduler.h"
#include "text/sequences.h"

namespace se {

// All of it outlives the call.
struct Decoder {
  Scheduler &scheduler;
  const Engine &engine;  // for its facts
  Sequence &sequence;
  const Interrupt &interrupt;
};

}  // namespace se
