# call: run()
# python: 3.9
makers = [lambda function: function, lambda function: lambda: function() + 1]


@makers[1]
def run():
    return 1
