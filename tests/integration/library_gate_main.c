/* An application that loads the library: what it is told where the CPU lacks what the library was built for. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "sphere_edge.h"

#define FIND(name) __typeof__(&name) found_##name = (__typeof__(&name))dlsym(library, #name)

int main(int count, char **words) {
  void *library = count == 2 ? dlopen(words[1], RTLD_NOW) : NULL;
  if (library == NULL) {
    puts(dlerror());
    return 64;
  }
  FIND(se_last_error);
  FIND(se_last_hint);
  FIND(se_system_info);
  FIND(se_text_open);
  char *json = NULL;
  const se_status info = found_se_system_info(&json);
  printf("%d %d\n", info, json != NULL && strchr(json, '{') != NULL);
  se_text *text = NULL;
  const se_status opened = found_se_text_open("/no/such/model", NULL, &text);
  printf("%d\n%s\n%s\n", opened, found_se_last_error(), found_se_last_hint());
  return 0;
}
