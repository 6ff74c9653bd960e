// The numbers that a case of a schema allows.
#pragma once

#include <vector>

#include "text/schema_cases.h"
#include "text/schema_graph.h"

namespace se::schema {

// Adds them to the alternatives of a node, if there are any.
void add_numbers(Cases &cases, const Case &one, std::vector<Alternative> &alternatives);

}  // namespace se::schema
