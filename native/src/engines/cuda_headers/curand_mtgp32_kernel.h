// clang's headers for CUDA include this one of cuRAND's for two declarations that nothing here needs.
