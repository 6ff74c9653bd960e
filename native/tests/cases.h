/* Every case runs on any model with a chat template: a GGUF file and a compiled bundle alike. */
#ifndef SE_TESTS_CASES_H
#define SE_TESTS_CASES_H

typedef struct test_case {
  const char *name;
  void (*run)(const char *model);
} test_case;

/* Ended by an entry without name. */
extern const test_case test_cases[];

#endif
