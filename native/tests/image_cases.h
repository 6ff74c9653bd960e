/* Chats with images. */
#ifndef SE_TESTS_IMAGE_CASES_H
#define SE_TESTS_IMAGE_CASES_H

/* `mmproj`: an image encoder that fits the model. */
void run_image_cases(const char *model, const char *mmproj);

/* Opening a model with this encoder and chatting may fail, but only with our own errors. */
void survive_encoder(const char *model, const char *mmproj);

#endif
