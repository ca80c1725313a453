# call: run()
class Settings:
    level = 1


settings = Settings()
settings.level = 5
Settings.extra = "yes"
setattr(settings, "name", "n")


def run():
    return settings.level, settings.extra, settings.name
