// Read before each file of stable-diffusion.cpp: stdout belongs to the program that uses the library, so what the
// engine prints there goes to stderr.
#pragma once

// First, so that only uses of the names are replaced.
#include <cstdio>
#include <iostream>

#define printf(...) fprintf(stderr, __VA_ARGS__)
#define cout cerr
#undef stdout
#define stdout stderr
