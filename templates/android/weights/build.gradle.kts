// The weights, as an AI pack: Play delivers it with the app, beside the 200 MB that an app itself may have.
plugins {
    alias(libs.plugins.android.ai.pack)
}

aiPack {
    packName.set("weights")
    dynamicDelivery { deliveryType.set("install-time") }
}
